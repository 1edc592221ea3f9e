"""Looking at a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from MonaiSKD.datasets.cases import SPLITS, Case, DataList
from MonaiSKD.datasets.duplicates import find_divided_patients, find_exact_duplicates, find_near_duplicates
from MonaiSKD.datasets.facts import Facts, in_threads, measure, pixel_sha256, read_picture
from MonaiSKD.datasets.patients import with_patients
from MonaiSKD.datasets.report import DataReport
from MonaiSKD.datasets.shortcuts import find_shortcuts
from MonaiSKD.datasets.unlabeled import image_items
from MonaiSKD.errors import SKDError
from MonaiSKD.reading import CanonicalRule, read_image

SMALL_SIDE = 96


def check_data(datalist: DataList, rule: CanonicalRule, *, near_duplicates: bool = True) -> DataReport:
    """Read every image once and report what would spoil a result.

    Args:
        datalist: the data set.
        rule: how its images are read.
        near_duplicates: whether to look for near duplicates, too.

    Returns:
        The report: counts, unreadable and small images, exact and near duplicates, patients in two splits, and
        trivial properties that tell the classes apart. Its verdict is "leak" exactly when :func:`assert_no_leak`
        refuses the images that are usable, and "unusable" when it refuses the others alone.
    """

    def facts_or_error(case: Case) -> Facts | SKDError:
        try:
            return measure(case, rule)
        except SKDError as error:
            return error

    measured = in_threads(facts_or_error, datalist.cases)
    facts = [fact for fact in measured if isinstance(fact, Facts)]
    pairs = zip(datalist.cases, measured, strict=True)
    refused = {case.path: error for case, error in pairs if isinstance(error, SKDError)}
    return DataReport(
        class_names=datalist.class_names,
        counts={split: datalist.class_counts(split) for split in SPLITS},
        unreadable={path: error.cause for path, error in refused.items()},
        other_modality=tuple(path for path, error in refused.items() if error.code == "wrong_modality"),
        small=tuple(fact.case.path for fact in facts if min(fact.height, fact.width) < SMALL_SIDE),
        exact_duplicates=find_exact_duplicates((fact.sha256, fact.case) for fact in facts),
        near_duplicates=find_near_duplicates(facts) if near_duplicates else (),
        divided_patients=find_divided_patients(fact.case for fact in facts),
        shortcuts=find_shortcuts(facts),
    )


def assert_no_leak(datalist: DataList, rule: CanonicalRule, unlabeled: str | Path | None = None) -> None:
    """Refuse a data set in which two splits share a patient or a picture; the quick part of :func:`check_data`.

    Args:
        datalist: the data set.
        rule: how its images are read.
        unlabeled: folder of further images without labels. They are trained on, so they count as training images; their
            patients are known where they and those of val and test are DICOM.

    Raises:
        SKDError: a patient or a picture is in two splits, or an image cannot be read or, labelled, shows nothing.
    """
    more = [] if unlabeled is None else [Case(item["image"], "", "train") for item in image_items(unlabeled)]
    for patient, paths in find_divided_patients(datalist.cases).items():
        raise _leak(f"shows patient {patient!r}, as does", paths[0], paths[1], more)
    for paths in find_divided_patients(_by_header(datalist, more)).values():
        raise _leak("shows the same patient as", paths[0], paths[1], more)

    def hashed(case: Case) -> tuple[str, Case]:
        return pixel_sha256(read_picture(case.path, rule) if case.label else read_image(case.path, rule).pixels), case

    for group in find_exact_duplicates(in_threads(hashed, (*datalist.cases, *more))):
        if group.across_splits:
            other = next(
                path for path, split in zip(group.paths, group.splits, strict=True) if split != group.splits[0]
            )
            raise _leak("is the same picture as", group.paths[0], other, more)


def _by_header(datalist: DataList, unlabeled: Sequence[Case]) -> tuple[Case, ...]:
    """The images of val and test as one split, and the unlabeled ones, each with the patient whom its header names."""
    if not unlabeled:
        return ()
    held_out = (*datalist.of("val"), *datalist.of("test"))
    return with_patients([*(replace(case, split="held out", patient_id=None) for case in held_out), *unlabeled])


def _leak(what: str, one: str, other: str, unlabeled: Sequence[Case]) -> SKDError:
    if any(case.path == other for case in unlabeled):
        remedy = "Take it out of the unlabeled images, or accept it with --set allow_leaks=true"
        return SKDError(one, f"{what} the unlabeled image {other}", remedy)
    remedy = "Keep them in one split (monai-skd check-data lists all), or accept it with --set allow_leaks=true"
    return SKDError(one, f"{what} {other} of another split", remedy)
