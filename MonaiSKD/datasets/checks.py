"""Looking at a data set before anything is trained on it."""

from __future__ import annotations

from MonaiSKD.datasets.cases import SPLITS, Case, DataList
from MonaiSKD.datasets.duplicates import find_divided_patients, find_exact_duplicates, find_near_duplicates
from MonaiSKD.datasets.facts import Facts, in_threads, measure, pixel_sha256, read_picture
from MonaiSKD.datasets.report import DataReport
from MonaiSKD.datasets.shortcuts import find_shortcuts
from MonaiSKD.errors import SKDError
from MonaiSKD.reading import CanonicalRule

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
        refuses the images that are usable.
    """

    def facts_or_reason(case: Case) -> Facts | str:
        try:
            return measure(case, rule)
        except SKDError as error:
            return error.cause

    measured = in_threads(facts_or_reason, datalist.cases)
    facts = [fact for fact in measured if isinstance(fact, Facts)]
    reasons = zip(datalist.cases, measured, strict=True)
    return DataReport(
        class_names=datalist.class_names,
        counts={split: datalist.class_counts(split) for split in SPLITS},
        unreadable={case.path: reason for case, reason in reasons if isinstance(reason, str)},
        small=tuple(fact.case.path for fact in facts if min(fact.height, fact.width) < SMALL_SIDE),
        exact_duplicates=find_exact_duplicates((fact.sha256, fact.case) for fact in facts),
        near_duplicates=find_near_duplicates(facts) if near_duplicates else (),
        divided_patients=find_divided_patients(datalist.cases),
        shortcuts=find_shortcuts(facts),
    )


def assert_no_leak(datalist: DataList, rule: CanonicalRule) -> None:
    """Refuse a data set in which two splits share a patient or a picture; the quick part of :func:`check_data`.

    Args:
        datalist: the data set.
        rule: how its images are read.

    Raises:
        SKDError: a patient or a picture is in two splits, or an image cannot be read or shows nothing.
    """
    remedy = "Keep them in one split (monai-skd check-data lists all), or accept it with --set allow_leaks=true"
    for patient, paths in find_divided_patients(datalist.cases).items():
        raise SKDError(paths[0], f"shows patient {patient}, as does {paths[1]} of another split", remedy)

    def hashed(case: Case) -> tuple[str, Case]:
        return pixel_sha256(read_picture(case.path, rule)), case

    for group in find_exact_duplicates(in_threads(hashed, datalist.cases)):
        if group.across_splits:
            other = next(
                path for path, split in zip(group.paths, group.splits, strict=True) if split != group.splits[0]
            )
            raise SKDError(group.paths[0], f"is the same picture as {other} of another split", remedy)
