"""Weight selection: a small student cut out of a large teacher.

- :func:`make_plan` chooses, :class:`SelectionPlan` holds the choice as data and applies it.
- :func:`compensate` refits the read-outs of a selected student against its teacher, in closed form.
- :func:`family_of` tells the backbone family of a network: its blocks, and how to walk them.
"""

from MonaiSKD.selection.compensation import CompensationReport, ReadoutError, compensate
from MonaiSKD.selection.families import Family, family_of
from MonaiSKD.selection.plan import SelectionPlan
from MonaiSKD.selection.planning import make_plan
from MonaiSKD.selection.rules import DepthRule, HeadRule, Rule, WidthRule
from MonaiSKD.selection.tensors import TensorMap

__all__ = [
    "CompensationReport",
    "DepthRule",
    "Family",
    "HeadRule",
    "ReadoutError",
    "Rule",
    "SelectionPlan",
    "TensorMap",
    "WidthRule",
    "compensate",
    "family_of",
    "make_plan",
]
