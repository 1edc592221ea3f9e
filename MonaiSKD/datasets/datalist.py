"""Reading a data set: a folder, a CSV or a MONAI datalist becomes one :class:`DataList`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MonaiSKD.datasets.cases import SPLITS, Case, DataList
from MonaiSKD.datasets.patients import with_patients
from MonaiSKD.datasets.sources import composed, read_source
from MonaiSKD.datasets.splits import complete_splits, missing_splits
from MonaiSKD.errors import SKDError

__all__ = ["SPLITS", "Case", "DataList", "load_datalist"]


def load_datalist(
    source: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    learnable: bool = True,
) -> DataList:
    """Read a data set from a folder, a CSV or a MONAI datalist JSON, and decide its splits where it does not.

    - A folder holds `<split>/<class>/<image>` or `<class>/<image>`.
    - A CSV (commas, semicolons or tabs) has the columns path and label, and may have split, patient_id (or PatientID,
      patient, subject), and source (or repository). A relative path starts at the CSV's folder.
    - A JSON is `{"training": [{"image": ..., "label": ...}, ...], "validation": [...], "test": [...]}`. A relative path
      starts at the JSON's folder.

    DICOM images without a patient_id are joined by their headers (see :func:`with_patients`).

    Images without given splits are divided by `fractions`; where only the validation split is missing, it is taken
    out of the training split. Both keep a patient's images together, keep the shares of the classes, and depend on
    `seed` and the file names alone. With `class_names` given, the training split may be absent: such data can be
    evaluated by a model that knows its classes.

    Args:
        source: the folder, .csv or .json.
        class_names: the classes in the order wanted; by default those found, sorted.
        fractions: the shares of train, val and test.
        seed: which of the possible divisions is drawn.
        learnable: whether something is to be trained on them. If not, classes of `class_names` may be absent, and it
            does not matter which are in the training split.

    Returns:
        The data list; every case has a split.

    Raises:
        SKDError: the data set is absent, empty, or contradicts itself; the sentence names the file and the remedy.
    """
    where = Path(source)
    cases = with_patients(read_source(where))
    _refuse_one_file_twice(where, cases)
    wanted = None if class_names is None else [composed(name) for name in class_names]
    classes = _class_names(where, cases, wanted, every=learnable)
    drawn = missing_splits(cases)
    cases = complete_splits(where, cases, fractions, seed)
    if learnable:
        _refuse_unlearnable(where, cases, classes_known=class_names is not None)
    return DataList(cases, classes, drawn)


def _refuse_one_file_twice(where: Path, cases: Sequence[Case]) -> None:
    first: dict[str, Case] = {}
    for case in cases:
        seen = first.setdefault(case.path, case)
        if seen is case:
            continue
        if seen.split != case.split:
            raise SKDError(where, f"{case.path} is in {seen.split} and in {case.split}", "Keep it in one split")
        raise SKDError(where, f"{case.path} is listed twice", "Keep one of the two entries")


def _class_names(where: Path, cases: Sequence[Case], wanted: Sequence[str] | None, every: bool) -> tuple[str, ...]:
    found = sorted({case.label for case in cases})
    if wanted is not None and not every and set(found) <= set(wanted):
        return tuple(wanted)
    if wanted is not None and sorted(wanted) != found:
        raise SKDError(
            where,
            f"its classes are {', '.join(found)}, but {', '.join(wanted)} are expected",
            "Rename the classes of the data, or change the expected class names",
        )
    if len(found) < 2:
        raise SKDError(where, f"it has one class only ({found[0]})", "Add images of at least one other class")
    return tuple(wanted or found)


def _refuse_unlearnable(where: Path, cases: Sequence[Case], *, classes_known: bool) -> None:
    trained = {case.label for case in cases if case.split == "train"}
    if not trained and classes_known:
        return
    if not trained:
        raise SKDError(where, "it has no training images", "Add a split named train")
    for split in ("val", "test"):
        missing = sorted({case.label for case in cases if case.split == split} - trained)
        if missing:
            raise SKDError(
                where,
                f"{', '.join(missing)} occurs in {split}, but not in train",
                "Add training images of it, or remove it from the other splits",
            )
