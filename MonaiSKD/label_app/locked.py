"""MONAI Label's local datastore, safe among threads and processes, and never half-written.

MONAI Label's own empties and refills its list of images in the thread that watches the folder, while requests read and
save it, and each process writes what it knew when it last looked: labels get lost.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore

from MonaiSKD.files import write_json

_LOG = logging.getLogger(__name__)
Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp:
    """What changes when a file is written anew: the time alone may not, where a file system's ticks are long.

    Raises:
        OSError: there is no such file.
    """
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _alone(name: str) -> Callable[..., Any]:
    """MONAI Label's method, up to date and with no other thread beside it."""
    stock = getattr(LocalDatastore, name)

    @functools.wraps(stock)
    def method(self: LockedDatastore, *arguments: Any, **options: Any) -> Any:
        with self.mutex:
            self.take_up()
            return stock(self, *arguments, **options)

    return method


class LockedDatastore(LocalDatastore):
    """A local datastore that is changed by one thread of one process at a time.

    Args:
        folder: of the images.
        extensions: patterns of their names.
        auto_reload: whether the folder is watched.
        read_only: whether it is left as it is at the start.
    """

    _datastore: Any

    def __init__(self, folder: str, extensions: list[str], *, auto_reload: bool, read_only: bool) -> None:
        self.mutex = threading.RLock()
        self._holding = False
        self._seen: Stamp | None = None
        super().__init__(folder, extensions=extensions, auto_reload=auto_reload, read_only=read_only)

    json = _alone("json")
    datalist = _alone("datalist")
    list_images = _alone("list_images")
    get_labeled_images = _alone("get_labeled_images")
    get_image_uri = _alone("get_image_uri")
    get_image_info = _alone("get_image_info")
    get_label_uri = _alone("get_label_uri")
    get_label_info = _alone("get_label_info")
    get_labels_by_image_id = _alone("get_labels_by_image_id")

    def take_up(self) -> None:
        """Read what other processes have saved."""
        self._init_from_datastore_file()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Alone among threads and processes, and up to date."""
        with self.mutex:
            if self._holding:
                yield
                return
            with FileLock(self._lock_file):
                self._holding = True
                try:
                    self._read_again()
                    yield
                finally:
                    self._holding = False

    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Keep something about an image."""
        with self.changing():
            super().update_image_info(image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: Mapping[str, Any]) -> None:
        """Keep something about a label."""
        with self.changing():
            super().update_label_info(label_id, label_tag, info)

    def remove_image(self, image_id: str) -> None:
        """Remove an image with its labels; where it is a link, what it leads to stays."""
        with self.changing():
            entry = self._datastore.objects.get(image_id)
            name = "" if entry is None else self._filename(image_id, entry.image.ext)
            file = Path(self._datastore.image_path()) / name
            if name and file.is_symlink():
                for tag in list(entry.labels):
                    super().remove_label(image_id, tag)
                file.unlink()
            else:
                super().remove_image(image_id)
            self.refresh()  # now, not once the folder's watch has seen it

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label with all its readers' opinions."""
        with self.changing():
            super().remove_label(label_id, label_tag)
            self.refresh()  # MONAI Label watches for images only

    def _reconcile_datastore(self) -> None:
        with self.changing():
            super()._reconcile_datastore()

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        try:
            with self.changing():  # which reads it
                pass
        except ValueError as error:
            if throw_exception:
                raise
            _LOG.error("the list of images cannot be read (%s); what is known of it stays", type(error).__name__)

    def _read_again(self) -> None:
        path = Path(self._datastore_config_path)
        if path.exists() and (seen := stamp(path)) != self._seen:
            read = type(self._datastore).model_validate_json(path.read_text(encoding="utf-8"))
            read.base_path = self._datastore_path
            self._datastore, self._seen = read, seen

    def _update_datastore_file(self, lock: bool = True) -> None:
        with self.mutex:
            if lock and not self._holding:
                with FileLock(self._lock_file):
                    self._write()
            else:
                self._write()

    def _write(self) -> None:
        self._ignore_event_config = True
        write_json(self._datastore_config_path, self._datastore.model_dump(mode="json", exclude={"base_path"}))
        self._seen = stamp(Path(self._datastore_config_path))
