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
from itertools import islice
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel

from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, write_json
from MonaiSKD.label_app.answers import ANSWER_KEY
from MonaiSKD.label_app.locked import LockedDatastore, Stamp, stamp
from MonaiSKD.label_app.opinions import Opinion, disagreements, majority, merged, parse_opinions, to_data
from MonaiSKD.reading import IMAGE_SUFFIXES
from MonaiSKD.reading.dicom.dataset import looks_like_dicom
from MonaiSKD.reading.itk import ITK_SUFFIXES
from MonaiSKD.reporting import from_json

_LOG = logging.getLogger(__name__)
FINAL, MODELS_OWN = "final", "original"  # tags of MONAI Label
_IMAGES = (*IMAGE_SUFFIXES, *ITK_SUFFIXES)
_SUFFIXES = sorted((*_IMAGES, ".json"), key=len, reverse=True)
# Of a folder, how many are looked at: a series may have much else beside it, and a folder of that alone may be large.
_LOOKED_AT = 1000
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
        self._known: dict[Path, tuple[Stamp, list[Opinion]]] = {}
        self._unreadable = 0
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
        """Of each labelled image, what its readers say; nothing where the label's file cannot be read."""
        found: dict[str, list[Opinion]] = {}
        unreadable = 0
        with self.mutex:
            self.take_up()
            for image in [image for image, entry in self._datastore.objects.items() if FINAL in entry.labels]:
                try:
                    found[image] = self._opinions_in(self._label_file(image, FINAL))
                except (OSError, SKDError):  # laid there by hand, or taken away
                    found[image] = []
                    unreadable += 1
        if unreadable:
            _LOG.warning("%d label files cannot be read and are left out", unreadable)
        return found

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
            SKDError: the id is no name or has an image or labels, or the file is of an unknown kind.
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
            if any((tag / f"{image_id}.json").exists() for tag in Path(self._datastore.label_path(None)).glob("*")):
                cause = "is absent, but its labels are kept, which would be taken for this one's"
                raise SKDError(f"image {image_id!r}", cause, "Give this one another id, or move those labels away")
            with atomic_path(path) as beside:
                shutil.copyfile(image_filename, beside)
            info = {**image_info, "ts": int(time.time()), "name": f"{image_id}{suffix}"}
            self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            self._update_datastore_file(lock=False)
        return image_id

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]) -> str:
        """Keep a reader's opinion beside those of others, or a model's answer.

        Raises:
            SKDError: there is no such image, the tag is no name, the file is no label, or other readers' opinions of
                the image cannot be read; these are left as they are.
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
            path = self._label_file(image_id, label_tag)
            if label_tag == MODELS_OWN:
                data = _models_answer(content)
            else:
                new = parse_opinions(content)
                data = to_data(merged(self._opinions_before(image_id, path), new))
            write_json(path, data)
            self._known.pop(path, None)  # whatever its stamp is
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

        An image that somebody has taken away since the folder was last looked through is left out.

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
            # A ZIP knows no time before 1980; such files get that.
            with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", strict_timestamps=False) as archive:
                for case in cases:
                    parts = {kind: Path(path) for kind, path in case.items()}
                    if not all(path.exists() for path in parts.values()):
                        continue
                    for kind, path in parts.items():
                        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                            archive.write(file, str(Path(kind) / file.relative_to(path.parent)))
                archive.writestr("metadata.json", json.dumps(self.json(), default=str))
        except BaseException:
            Path(name).unlink()
            raise
        return name

    def models_answer(self, image_id: str) -> Mapping[str, Any] | None:
        """What `/batch/infer` has stored for an image."""
        path = self._label_file(check_id(image_id), MODELS_OWN)
        try:
            data: Mapping[str, Any] = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("a stored answer cannot be read (%s); it counts as absent", type(error).__name__)
            return None
        return data

    def _label_file(self, image: str, tag: str) -> Path:
        return Path(self._datastore.label_path(tag)) / f"{image}.json"

    def _opinions_in(self, path: Path) -> list[Opinion]:
        """What a label's file says; read anew only when it has changed."""
        made = stamp(path)
        known = self._known.get(path)
        if known is None or known[0] != made:
            known = self._known[path] = (made, parse_opinions(path.read_bytes(), largest=None))
        return known[1]

    def _opinions_before(self, image: str, path: Path) -> list[Opinion]:
        """What a label's file says, which is about to be replaced."""
        try:
            return self._opinions_in(path)
        except FileNotFoundError:
            return []
        except (OSError, SKDError) as error:
            cause = "are in a file that cannot be read; nothing was changed"
            remedy = f"Mend labels/{path.parent.name}/ID.json of it, or move that away"
            raise SKDError(f"labels of {image!r}", cause, remedy) from error

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
        labels = os.path.realpath(self._datastore.label_path(None))
        found: dict[str, str] = {}
        unreadable = 0
        for entry in visible:
            try:
                if os.path.realpath(entry) != labels and _is_image(entry):
                    found[entry.name] = entry.name
            except OSError:  # another one's, such as lost+found, or taken away in between
                unreadable += 1
        if unreadable and unreadable != self._unreadable:  # every change in the folder comes here
            _LOG.warning("%d files or folders cannot be read and are left out", unreadable)
        self._unreadable = unreadable
        return found


def _object(params: Any) -> Mapping[str, Any]:
    # MONAI Label adds to "strategy" whenever it offers the image, and would fail for ever.
    if not isinstance(params, Mapping) or not isinstance(params.get("strategy", {}), Mapping):
        raise SKDError("params", "is no JSON object, or its strategy is none", "Send one, or leave it out")
    return params


def _is_image(entry: Path) -> bool:
    if entry.is_dir():
        return any(_is_dicom(file) for file in islice(entry.iterdir(), _LOOKED_AT) if file.is_file())
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
