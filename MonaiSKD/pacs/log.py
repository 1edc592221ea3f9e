"""One JSON object a line: what happened, to which study (by its key), and nothing of the patient."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from datetime import datetime, timezone
from typing import Any

_LOG = logging.getLogger("MonaiSKD.pacs")
# Their messages quote addresses with UIDs, values of headers, or whole exceptions.
_TALKATIVE = ("pynetdicom", "urllib3", "requests", "asyncio", "pydicom", "highdicom")


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line.

    Args:
        event: what happened, one word or two.
        level: of the logging package.
        fields: JSON data; never a name, a number or a UID of a patient or study. Studies are named by their key.
    """
    line = {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "event": event, **fields}
    if level > logging.INFO:
        line["level"] = logging.getLevelName(level).lower()
    _LOG.log(level, json.dumps(line, ensure_ascii=True))


def quieten() -> None:
    """Keep libraries from writing lines of their own, which may quote patient data."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")
    threading.excepthook = _thread_ended


def _thread_ended(error: threading.ExceptHookArgs) -> None:
    name = error.thread.name.partition("@")[0] if error.thread is not None else ""
    log("internal error", logging.ERROR, thread=name, reason=error.exc_type.__name__)
