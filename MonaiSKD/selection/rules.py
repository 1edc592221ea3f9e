"""The rules that choose: which entries of an axis, and which blocks of a stage, a student takes from its teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from MonaiSKD.errors import SKDError

DepthRule = Literal["first", "uniform", "ends"]
WidthRule = Literal["uniform", "consecutive", "random", "importance", "shuffled"]
HeadRule = Literal["whole", "interleaved"]


@dataclass(frozen=True)
class Rule:
    """How a plan chooses.

    Attributes:
        depth: which teacher blocks of a stage: the `first` ones, a `uniform` spread over all, or both `ends`.
        width: which entries of an axis: a `uniform` spread (the published rule), the first ones (`consecutive`), a
            seeded `random` draw, the ones of greatest `importance`, or `shuffled`: the uniform spread with each
            tensor's elements permuted, a control that keeps the distribution of the weights and loses their structure.
        heads: `whole` attention heads, or the published rule that takes entries of several heads for one
            (`interleaved`).
        phase: 0 for the first choice; phase p chooses among what the phases before it used least.
        seed: of the random draw and of the permutations.

    Raises:
        SKDError: a name is unknown, or the phase negative.
    """

    depth: DepthRule = "first"
    width: WidthRule = "uniform"
    heads: HeadRule = "whole"
    phase: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for field, known in (("depth", DepthRule), ("width", WidthRule), ("heads", HeadRule)):
            value, names = getattr(self, field), get_args(known)
            if value not in names:
                raise SKDError(field, f"there is no rule {value!r}", f"Choose one of {', '.join(names)}")
        if self.phase < 0:
            raise SKDError("phase", f"it is {self.phase}", "Choose 0 or more")

    @property
    def fuses_heads(self) -> bool:
        """Whether queries, keys and values are cut as the one fused axis they are stored in, as published."""
        return self.heads == "interleaved" and self.width in ("uniform", "shuffled")


def seed_of(*parts: object) -> int:
    """Derive a seed in [0, 2**63) from `parts`, the same on every machine and in every process."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def spread(total: int, keep: int) -> list[int]:
    """Return `keep` entries spread over all `total` ones, both ends included: round(linspace(0, total - 1, keep)).

    Example:
        >>> spread(12, 4)
        [0, 4, 7, 11]
    """
    # In torch's float32 and with its rounding of halves to even: the published rule is defined by that arithmetic.
    indices: list[int] = torch.round(torch.linspace(0, total - 1, keep)).long().tolist()
    return indices


def evenly(total: int, keep: int) -> list[int]:
    """Return the published choice: every (total / keep)-th entry where that is whole, else :func:`spread`.

    Source: Xu et al., "Initializing Models with Larger Ones", ICLR 2024, arXiv 2311.18823.

    Example:
        >>> evenly(6, 3), evenly(5, 3)
        ([0, 2, 4], [0, 2, 4])
    """
    return list(range(0, total, total // keep)) if total % keep == 0 else spread(total, keep)


def choose(name: str, total: int, keep: int, rule: Rule, scores: torch.Tensor | None = None) -> tuple[int, ...]:
    """Choose `keep` of the `total` entries of one index space.

    Each phase takes from the entries that the phases before it used least, so two plans overlap as little as the sizes
    allow; among equally used entries the width rule decides. For total = r * keep and the uniform rule, phase p < r
    takes i * r + p.

    Args:
        name: of the space; it seeds the random draw, so that spaces differ.
        total: entries of the teacher, at least `keep`.
        keep: entries of the student, at least 1.
        rule: its width, phase and seed count.
        scores: importance per entry [total], for `importance` alone.

    Returns:
        The chosen indices, ascending.

    Example:
        >>> choose("residual", 6, 3, Rule(phase=1))
        (1, 3, 5)
    """
    uses = [0] * total
    chosen: list[int] = []
    for phase in range(rule.phase + 1):
        generator = torch.Generator().manual_seed(seed_of(rule.seed, name, phase))
        chosen = []
        for level in sorted(set(uses)):
            pool = [index for index in range(total) if uses[index] == level]
            count = min(len(pool), keep - len(chosen))
            if not count:
                break
            chosen += pool if count == len(pool) else _pick(pool, count, rule.width, generator, scores)
        for index in chosen:
            uses[index] += 1
    return tuple(sorted(chosen))


def _pick(
    pool: Sequence[int], count: int, width: WidthRule, generator: torch.Generator, scores: torch.Tensor | None
) -> list[int]:
    """Apply the width rule to the entries of `pool`."""
    if width == "consecutive":
        places = list(range(count))
    elif width == "random":
        places = torch.randperm(len(pool), generator=generator)[:count].tolist()
    elif width == "importance":
        if scores is None:
            raise ValueError("the rule 'importance' needs scores")
        places = torch.argsort(scores[list(pool)], descending=True, stable=True)[:count].tolist()
    else:
        places = evenly(len(pool), count)
    return [pool[place] for place in places]


def choose_blocks(total: int, keep: int, depth: DepthRule) -> tuple[int, ...]:
    """Choose `keep` of the `total` blocks of one stage, ascending.

    Example:
        >>> choose_blocks(12, 5, "ends")
        (0, 1, 2, 10, 11)
    """
    if depth == "uniform":
        return tuple(spread(total, keep))
    late = keep // 2 if depth == "ends" else 0
    return (*range(keep - late), *range(total - late, total))
