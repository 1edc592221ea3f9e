"""Which series of a study goes to which model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from MonaiSKD.reading.dicom.terms import BODY_PARTS

Choice = Literal["each", "largest"]


@dataclass(frozen=True)
class SeriesFacts:
    """What rules may ask of a series.

    Args:
        uid: Series Instance UID.
        modality: as stored, in capitals.
        body_part: Body Part Examined, in capitals; empty where it is not stated.
        description: Series Description.
        images: how many instances it has.
    """

    uid: str
    modality: str
    body_part: str = ""
    description: str = ""
    images: int = 1


@dataclass(frozen=True)
class Route:
    """One rule: series that fit go to the model.

    Args:
        model: bundle's short name, run folder, or .onnx file, as the configuration names it.
        modality: any of these.
        body_part: any of these; the empty text stands for "not stated". Without entries every part fits.
        description: a pattern that must be found in the series description, whatever the case; None fits all.
        series: "each": all series that fit are classified, each by itself; "largest": only the one with the most
            images, of equals the one with the lowest UID.
        file: where the model is, when it is not a short name.

    Example:
        >>> Route("lung_ct", ("CT",), ("CHEST",)).fits(SeriesFacts("1.2", "CT", "CHEST"))
        True
    """

    model: str
    modality: tuple[str, ...]
    body_part: tuple[str, ...] = ()
    description: re.Pattern[str] | None = None
    series: Choice = "each"
    file: str = ""

    def fits(self, series: SeriesFacts) -> bool:
        """Whether a series is for this rule's model."""
        return (
            series.modality in self.modality
            and (not self.body_part or series.body_part in self.body_part)
            and (self.description is None or self.description.search(series.description) is not None)
        )

    def chosen(self, study: Iterable[SeriesFacts]) -> list[SeriesFacts]:
        """The series of a study that are classified."""
        fitting = sorted((one for one in study if self.fits(one)), key=lambda one: one.uid)
        return fitting if self.series == "each" else sorted(fitting, key=lambda one: -one.images)[:1]


def route(routes: Sequence[Route], study: Sequence[SeriesFacts]) -> Mapping[str, list[SeriesFacts]]:
    """The models that answer a study, each with its series in the order of their UIDs.

    A model that several rules name gets what any of them chooses; a series may go to several models.

    Args:
        routes: the rules.
        study: its series.

    Example:
        >>> rules = [Route("chest_xray", ("DX", "CR"))]
        >>> [one.uid for one in route(rules, [SeriesFacts("1.2", "DX"), SeriesFacts("1.3", "SR")])["chest_xray"]]
        ['1.2']
    """
    chosen: dict[str, dict[str, SeriesFacts]] = {}
    for rule in routes:
        for series in rule.chosen(study):
            chosen.setdefault(rule.model, {})[series.uid] = series
    return {model: [series[uid] for uid in sorted(series)] for model, series in chosen.items()}


def why_none(study: Iterable[SeriesFacts]) -> str:
    """Why no rule took a study, in words of the standard alone.

    Example:
        >>> why_none([SeriesFacts("1.2", "CR", "KNEE"), SeriesFacts("1.3", "US")])
        'no rule fits its series (CR KNEE, US)'
    """
    kinds = dict.fromkeys(f"{_modality(one.modality)} {_part(one.body_part)}".strip() for one in study)
    return f"no rule fits its series ({', '.join(kinds) or 'none'})"


def _modality(value: str) -> str:
    return value if re.fullmatch("[A-Z]{2,8}", value) else "of no known modality"


def _part(value: str) -> str:
    """The body part; a word that is none may be anything, even a name."""
    return value if not value or value in BODY_PARTS else "of another part"
