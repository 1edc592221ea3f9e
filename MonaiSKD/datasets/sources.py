"""The three ways to hand in a data set: a folder, a CSV, a MONAI datalist JSON."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from MonaiSKD.datasets.cases import Case, Split
from MonaiSKD.datasets.patients import names_nobody
from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json, refuse_undecoded
from MonaiSKD.reading import IMAGE_SUFFIXES, is_image

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
IMAGE_KINDS = f"{', '.join(IMAGE_SUFFIXES)}, or DICOM under any name"
_SHOWN = 3
_FIELDS = ("path", "label", "split", "patient_id", "source")
_ALSO_CALLED = {"patient_id": ("patientid", "patient", "subject_id", "subjectid", "subject"), "source": ("repository",)}


def read_source(where: Path) -> tuple[Case, ...]:
    """Read the cases of a folder, CSV or JSON, with the splits it gives and no others.

    Names are in Unicode's composed form (NFC): macOS decomposes those of folders, and one accented
    word would be two classes.

    Raises:
        SKDError: it is absent, of another kind, empty, or has entries that cannot be used.
    """
    if not where.exists():
        raise SKDError(where, "does not exist", "Check the path")
    if where.is_dir():
        cases = tuple(_read_folder(where))
    elif where.suffix.lower() == ".csv":
        cases = tuple(_read_csv(where))
    elif where.suffix.lower() == ".json":
        cases = tuple(_read_datalist_json(where))
    else:
        raise SKDError(where, "is neither a folder nor a .csv nor a .json", "Hand in one of these")
    if not cases:
        raise SKDError(where, "lists no images", "Add a line for each image")
    _refuse_missing_files(where, [case.path for case in cases])
    return tuple(
        replace(
            case,
            label=composed(case.label),
            patient_id=case.patient_id and composed(case.patient_id),
            source=case.source and composed(case.source),
        )
        for case in cases
    )


def composed(name: str) -> str:
    """A name in Unicode's composed form, NFC, in which names that look the same are the same."""
    return unicodedata.normalize("NFC", name)


def _read_folder(where: Path) -> Iterator[Case]:
    inside = _visible_folders(where)
    if not any(is_image(file) for file in where.rglob("*")):
        raise SKDError(where, "holds no images", f"Put files ({IMAGE_KINDS}) in <class>/ folders")
    splits = [folder for folder in inside if folder.name.lower() in SPLIT_NAMES]
    if not splits:
        yield from _read_classes(where, None)
        return
    others = [folder.name for folder in inside if folder not in splits and image_names(folder, deep=True)]
    if others:
        raise SKDError(where, f"holds splits, and beside them {', '.join(others)}", "Move the other folders away")
    _refuse_loose_images(where)
    for folder in splits:
        yield from _read_classes(folder, SPLIT_NAMES[folder.name.lower()])


def _read_classes(where: Path, split: Split | None) -> Iterator[Case]:
    _refuse_loose_images(where)
    folders = _visible_folders(where)
    if not folders:
        raise SKDError(where, "holds no class folders", "Put the images in one folder per class, or remove it")
    for folder in folders:
        names = image_names(folder, deep=False)
        if len(names) != len(image_names(folder, deep=True)):
            raise SKDError(folder, "holds images in folders of its own", "Put them directly in the class folder")
        if not names:
            raise SKDError(folder, "holds no images", "Add images of this class, or remove the folder")
        refuse_undecoded(folder.name, folder, "Rename it")
        yield from (Case(str(file), folder.name, split) for file in names)


def _refuse_loose_images(where: Path) -> None:
    loose = image_names(where, deep=False)
    if loose:
        raise SKDError(loose[0], "lies in no class folder, so it has no label", "Move it to the folder of its class")


def _visible_folders(where: Path) -> list[Path]:
    return sorted(path for path in where.iterdir() if path.is_dir() and not path.name.startswith("."))


def image_names(where: Path, *, deep: bool) -> list[Path]:
    """The image files of a folder (with `deep` also of those below it), sorted."""
    return sorted(file for file in where.glob("**/*" if deep else "*") if is_image(file))


def _read_csv(where: Path) -> Iterator[Case]:
    try:
        # utf-8-sig: spreadsheets put a byte-order mark before the first column's name.
        with where.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream, delimiter=_delimiter(stream), skipinitialspace=True)
            table.fieldnames = _fields(where, table.fieldnames or (), "line 1")
            for column in ("path", "label"):
                if column not in table.fieldnames:
                    raise SKDError(where, f"it has no column '{column}'", "Name the columns path,label in line 1")
            rows = [(table.line_num, row) for row in table]
    except OSError as error:
        raise SKDError(where, f"cannot be read ({error.strerror or error})", "Check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SKDError(where, f"is not a CSV in UTF-8 ({error})", "Save it as CSV in UTF-8") from error
    for line, row in rows:
        extra = row.pop(None, [])
        fields = {name: (value or "").strip() for name, value in row.items()}
        if not any(text.strip() for text in (*fields.values(), *extra)):
            continue  # spreadsheets leave empty rows behind
        if extra:
            raise SKDError(where, f"line {line} has more fields than line 1", "Put quotes around fields with commas")
        yield Case(
            _located(where, fields["path"], f"line {line}"),
            _labelled(where, fields["label"], f"line {line}"),
            _split(where, fields.get("split", ""), f"line {line}"),
            _patient(fields.get("patient_id")),
            fields.get("source") or None,
        )


def _delimiter(stream: TextIO) -> str:
    """What parts the columns: where a comma parts decimals, spreadsheets write semicolons."""
    head = stream.readline()
    stream.seek(0)
    return max(",;\t", key=head.count)


def _fields(where: Path, names: Sequence[str], place: str) -> list[str]:
    """Columns or keys as they are called here: "Patient ID" is patient_id, and so is "subject" where there is none.

    Raises:
        SKDError: two are called the same.
    """
    plain = [re.sub(r"[\s_-]+", "_", name.strip().lower()) for name in names]
    for name in _FIELDS:
        others = [other for other in _ALSO_CALLED.get(name, ()) if other in plain]
        if name not in plain and others:
            plain[plain.index(others[0])] = name
        if plain.count(name) > 1:
            raise SKDError(where, f"{place} gives {name} twice", f"Keep one column for {name}, and rename the other")
    return plain


def _patient(text: str | None) -> str | None:
    return None if text is None or names_nobody(text) else text


def _read_datalist_json(where: Path) -> Iterator[Case]:
    data = read_json(where)
    keys = [key for key in data if str(key).lower() in SPLIT_NAMES] if isinstance(data, dict) else []
    if not keys:
        raise SKDError(where, "is not a MONAI datalist", "Give lists named training, validation and test")
    names = data.get("labels")
    for key in keys:
        entries = data[key] if isinstance(data[key], list) else [None]
        for number, entry in enumerate(entries, start=1):
            place = f"{key} entry {number}"
            if not isinstance(entry, dict):
                raise SKDError(where, f"{place} is not an object with image and label", "Write both for each image")
            fields = dict(zip(_fields(where, list(map(str, entry)), place), entry.values(), strict=True))
            image, label, patient = fields.get("image"), fields.get("label"), fields.get("patient_id")
            # The Decathlon form: whole-number labels, and their names once at the top.
            named = names.get(str(label), label) if isinstance(names, dict) else label
            yield Case(
                _located(where, image if isinstance(image, str) else "", place),
                _labelled(where, _class_name(where, named, place), place),
                SPLIT_NAMES[str(key).lower()],
                _patient(_text_or_none(patient)),
                _text_or_none(fields.get("source")),
            )


def _class_name(where: Path, label: Any, place: str) -> str:
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        raise SKDError(where, f"{place} has the label {label!r}", "Write a text or a whole number")
    return "" if label is None else str(label).strip()


def _text_or_none(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _located(where: Path, path: str, place: str) -> str:
    if not path:
        raise SKDError(where, f"{place} names no image", "Write the path of the image")
    return str(where.parent / path)


def _labelled(where: Path, label: str, place: str) -> str:
    if not label:
        raise SKDError(where, f"{place} has a blank label", "Write the class of the image, or remove the entry")
    refuse_undecoded(label, f"{where}, {place}, label {label!r}", "Rename it")
    return label


def _split(where: Path, name: str, place: str) -> Split | None:
    if name and name.lower() not in SPLIT_NAMES:
        raise SKDError(where, f"{place} has the unknown split {name!r}", "Use train, val or test")
    return SPLIT_NAMES[name.lower()] if name else None


def _refuse_missing_files(where: Path, paths: Sequence[str]) -> None:
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise SKDError(
            where, f"{len(missing)} of its images are not there: {shown}", "Restore them or remove the lines"
        )
