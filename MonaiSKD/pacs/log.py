"""One JSON object a line: what happened, to which study (by its key), and nothing of the patient."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

_LOG = logging.getLogger("MonaiSKD.pacs")
# Their messages quote addresses with UIDs, values of headers, or whole exceptions.
_TALKATIVE = ("pynetdicom", "urllib3", "requests", "asyncio", "pydicom")


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
    logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)
