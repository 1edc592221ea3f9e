"""MONAI Label's local datastore for classification: all the images we read, and labels by several readers."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel

from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, write_json
from MonaiSKD.label_app.answers import ANSWER_KEY
from MonaiSKD.label_app.locked import LockedDatastore
from MonaiSKD.label_app.opinions import Opinion, disagreements, majority, merged, parse_opinions, to_data
from MonaiSKD.reading import IMAGE_SUFFIXES
from MonaiSKD.reading.dicom.dataset import looks_like_dicom
from MonaiSKD.reading.itk import ITK_SUFFIXES
from MonaiSKD.reporting import from_json

_LOG = logging.getLogger(__name__)
FINAL, MODELS_OWN = "final", "original"  # tags of MONAI Label
_IMAGES = (*IMAGE_SUFFIXES, *ITK_SUFFIXES)
_SUFFIXES = sorted((*_IMAGES, ".json"), key=len, reverse=True)
# A name of one file or folder: nothing that leads elsewhere, hides, or that a system refuses.
_ID = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_id(image: str) -> str:
    """The image id, if it can be one.

    Raises:
        SKDError: it leads out of the datastore, or is no name.
    """
    if not _ID.fullmatch(image):
        raise SKDError("image id", "is no name of an image", "Use one that /datastore lists")
    return image


class ReaderDatastore(LockedDatastore):
    """A folder of images: files, and folders with one DICOM series each.

    A label of readers is `labels/final/ID.json`, `{"labels": [{"label", "reader", "time"}]}`: each reader's last
    opinion. A label with the tag "original" is a model's answer, as `/batch/infer` stores it. What another process has
    saved is taken up before anything is written or told.
    """

    def __init__(self, folder: str, *, auto_reload: bool, read_only: bool) -> None:
        self._known: dict[Path, tuple[int, list[Opinion]]] = {}
        super().__init__(folder, [f"*{suffix}" for suffix in _IMAGES], auto_reload=auto_reload, read_only=read_only)

    def image_path(self, image_id: str) -> Path:
        """Where an image lies.

        Raises:
            SKDError: there is none of this id.
        """
        uri = self.get_image_uri(check_id(image_id))
        if not uri:
            raise SKDError(f"image {image_id!r}", "is not in the datastore", "Use one that it lists", code="not_found")
        return Path(uri)

    def opinions(self) -> dict[str, list[Opinion]]:
        """Of each labelled image, what its readers say."""
        with self.mutex:
            self.take_up()
            labels = {image: entry.labels.get(FINAL) for image, entry in self._datastore.objects.items()}
            return {image: self._opinions_of(image, label) for image, label in labels.items() if label is not None}

    def status(self) -> dict[str, Any]:
        """MONAI Label's counts, and which images their readers do not agree on."""
        of_images = self.opinions()
        ties = sorted(image for image, opinions in of_images.items() if opinions and majority(opinions) is None)
        with self.mutex:
            counts = super().status()
        return {**counts, "disagreements": disagreements(of_images), "ties": ties}

    def get_unlabeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """The images that no reader has labelled, sorted."""
        with self.mutex:
            self.take_up()
            return sorted(super().get_unlabeled_images(label_tag, labels))

    def add_image(self, image_id: str, image_filename: str, image_info: Mapping[str, Any]) -> str:
        """Take in an image, whole or not at all.

        Raises:
            SKDError: the id is no name, or the file is of an unknown kind.
        """
        image_info = _object(image_info)
        own, suffix = self.name_and_suffix(Path(image_filename).name)
        image_id = check_id(image_id or own)
        if suffix.lower() not in _IMAGES:
            raise SKDError("image", "is of an unknown kind", f"Use one of {', '.join(_IMAGES)}")
        with self.changing():
            path = Path(self._datastore.image_path()) / f"{image_id}{suffix}"
            if image_id in self._datastore.objects or path.exists():  # its labels are of another image
                remedy = "Give this one another id, or remove that first"
                raise SKDError(f"image {image_id!r}", "exists already", remedy)
            with atomic_path(path) as beside:
                shutil.copyfile(image_filename, beside)
            info = {**image_info, "ts": int(time.time()), "name": f"{image_id}{suffix}"}
            self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            self._update_datastore_file(lock=False)
        return image_id

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]) -> str:
        """Keep a reader's opinion beside those of others, or a model's answer.

        Raises:
            SKDError: there is no such image, the tag is no name, or the file is no label.
        """
        check_id(image_id)
        if not _TAG.fullmatch(label_tag):
            raise SKDError("tag", "is no name", "Use final")
        content, label_info = Path(label_filename).read_bytes(), _object(label_info)
        with self.changing():
            entry = self._datastore.objects.get(image_id)
            if entry is None:
                raise SKDError(f"image {image_id!r}", "is not in the datastore", "Add it first", code="not_found")
            # What MONAI Label would copy into every entry: the whole answer, which is in the file.
            info = {name: value for name, value in label_info.items() if name != "params"}
            if label_tag == MODELS_OWN:
                data = _models_answer(content)
            else:
                before = entry.labels.get(label_tag)
                opinions = merged(
                    self._opinions_of(image_id, before, label_tag) if before else [], parse_opinions(content)
                )
                data = to_data(opinions)
            write_json(Path(self._datastore.label_path(label_tag)) / f"{image_id}.json", data)
            info.update(ts=int(time.time()), name=f"{image_id}.json")
            entry.labels[label_tag] = DataModel(info=info, ext=".json")
            self._update_datastore_file(lock=False)
        return image_id

    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Keep something about an image.

        Raises:
            SKDError: it is no JSON object.
        """
        super().update_image_info(image_id, _object(info))

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP of the labelled images and their labels; whoever asks for it removes it.

        Raises:
            SKDError: none is labelled.
        """
        cases = self.datalist()
        if not cases:
            raise SKDError("datastore", "has no labelled image", "Label one first", code="not_found")
        if limit_cases and limit_cases > 0:
            cases = cases[:limit_cases]
        handle, name = tempfile.mkstemp(prefix="monai-skd-", suffix=".zip")
        try:
            with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
                for kind, path in ((kind, Path(path)) for case in cases for kind, path in case.items()):
                    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                        archive.write(file, str(Path(kind) / file.relative_to(path.parent)))
                archive.writestr("metadata.json", json.dumps(self.json(), default=str))
        except BaseException:
            Path(name).unlink()
            raise
        return name

    def models_answer(self, image_id: str) -> Mapping[str, Any] | None:
        """What `/batch/infer` has stored for an image."""
        path = Path(self._datastore.label_path(MODELS_OWN)) / f"{check_id(image_id)}.json"
        try:
            data: Mapping[str, Any] = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("a stored answer cannot be read (%s); it counts as absent", type(error).__name__)
            return None
        return data

    def _opinions_of(self, image: str, label: DataModel, tag: str = FINAL) -> list[Opinion]:
        """What the label's file says; read anew only when it has changed."""
        path = Path(self._datastore.label_path(tag)) / f"{image}{label.ext}"
        try:
            made = path.stat().st_mtime_ns
            if self._known.get(path, (0, []))[0] != made:
                self._known[path] = (made, parse_opinions(path.read_bytes()))
            return self._known[path][1]
        except (OSError, SKDError):  # laid there by hand, or taken away
            _LOG.warning("a label file in %s cannot be read and is left out", tag)
            return []

    def _to_id(self, file: str) -> tuple[str, str]:
        return self.name_and_suffix(file)

    @staticmethod
    def name_and_suffix(file: str) -> tuple[str, str]:
        """Of a file's name; MONAI Label would cut a folder's name at a dot, and remove a suffix everywhere."""
        for suffix in _SUFFIXES:
            if file.lower().endswith(suffix) and len(file) > len(suffix):
                return file[: -len(suffix)], file[-len(suffix) :]
        return file, ""

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        folder = Path(path)
        visible = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        if folder.resolve() != Path(self._datastore.image_path()).resolve():  # labels
            return {entry.name: entry.name for entry in visible if entry.suffix == ".json"}
        labels = Path(self._datastore.label_path(None)).resolve()
        return {entry.name: entry.name for entry in visible if entry.resolve() != labels and _is_image(entry)}


def _object(params: Any) -> Mapping[str, Any]:
    # MONAI Label adds to "strategy" whenever it offers the image, and would fail for ever.
    if not isinstance(params, Mapping) or not isinstance(params.get("strategy", {}), Mapping):
        raise SKDError("params", "is no JSON object, or its strategy is none", "Send one, or leave it out")
    return params


def _is_image(entry: Path) -> bool:
    if entry.is_dir():
        return any(_is_dicom(file) for file in list(entry.iterdir())[:8] if file.is_file())
    return entry.is_file() and (entry.name.lower().endswith(_IMAGES) or (not entry.suffix and _is_dicom(entry)))


def _is_dicom(file: Path) -> bool:
    if file.name.startswith("."):
        return False
    try:
        with file.open("rb") as stream:
            return looks_like_dicom(stream.read(512))
    except OSError:
        return False


def _models_answer(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
        from_json(data[ANSWER_KEY])
    except (ValueError, KeyError, TypeError) as error:
        raise SKDError("label", "is no answer of a model", "Store readers' labels with the tag final") from error
    kept: dict[str, Any] = data
    return kept
