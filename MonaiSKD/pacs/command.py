"""What `monai-skd pacs` does."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from MonaiSKD.choices import PacsAction
from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.queue import Queue
from MonaiSKD.pacs.settings import Settings


def pacs(
    action: PacsAction,
    config: str | Path,
    keys: Sequence[str] = (),
    *,
    once: bool = False,
    as_json: bool = False,
    identify: bool = False,
) -> int:
    """Run the service, list its queue, or let unanswerable studies be tried again.

    Args:
        action: what is to be done.
        config: the TOML file.
        keys: of rows, for "retry"; without any, all that are unanswerable.
        once: "run" takes in what there is, tries it, and ends.
        as_json: "list" prints one JSON object a line.
        identify: "list" shows Study Instance UIDs.

    Returns:
        the exit code: 1 where something is left to be tried again after `once`, else 0.

    Raises:
        SKDError: the configuration or what it names is wrong.
    """
    for package in ("pynetdicom", "requests", "h11"):
        if importlib.util.find_spec(package) is None:
            remedy = "Run: python -m pip install 'monai-skd[pacs]'"
            raise SKDError(package, "it is not installed", remedy, code="not_installed")
    from MonaiSKD.pacs.configuration import data_folder, read_settings
    from MonaiSKD.pacs.service import QUEUE_NAME

    settings = read_settings(config) if action == "run" else None
    path = (settings.data if settings is not None else data_folder(config)) / QUEUE_NAME
    if settings is None and not path.is_file():
        raise SKDError(path, "there is no queue yet", f"Run: monai-skd pacs run {config}", code="not_found")
    try:
        if settings is not None:
            return _run(settings, once)
        return _list(path, as_json, identify) if action == "list" else _retry(path, keys)
    except sqlite3.Error as error:
        raise SKDError(path, f"cannot be used ({error})", "Check its disk, and your rights to it") from error


def _run(settings: Settings, once: bool) -> int:
    from MonaiSKD.pacs.log import quieten
    from MonaiSKD.pacs.service import Service, stop_on_signals

    quieten()
    os.umask(0o077)  # images are nobody else's business, whatever mode the data folder has
    service = Service(settings)
    stop_on_signals(service)
    if once:
        return 0 if service.run_once() else 1
    service.run()
    return 0


def _list(path: Path, as_json: bool, identify: bool) -> int:
    from MonaiSKD.pacs.page import as_data

    queue = Queue(path, datetime.now, read_only=True)
    for row in queue.rows():
        data = as_data(row, identify)
        if as_json:
            print(json.dumps(data))
            continue
        what = row.answer if row.state == "answered" else f"{row.reason}. {row.remedy}." if row.reason else ""
        print("  ".join(filter(None, [row.key, row.state, data.get("study"), row.model or "none", what])))
    if not as_json:
        counts = [f"{state} {count}" for state, count in queue.counts().items() if count]
        print(", ".join(counts) or "The queue is empty.")
    queue.close()
    return 0


def _retry(path: Path, keys: Sequence[str]) -> int:
    queue = Queue(path, lambda: datetime.now().astimezone())
    wanted = keys or [row.key for row in queue.rows(["unanswerable"]) if row.model]
    for key in wanted:
        if not queue.again(key):
            raise SKDError(key, "is no unanswerable study with a model", "Give keys of: monai-skd pacs list CONFIG")
        print(f"{key}  received")
    queue.close()
    return 0
