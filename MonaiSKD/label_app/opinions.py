"""What readers say of an image: one opinion each, and what follows from several."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from MonaiSKD.errors import SKDError

UNNAMED = "unnamed"
_LONGEST = 200  # characters of a class or a reader's name
LARGEST = 64 * 1024  # bytes of a label file that is uploaded


@dataclass(frozen=True)
class Opinion:
    """One reader's label of one image.

    Args:
        label: the class.
        reader: who says so; all who give no name are one reader.
        time: when, ISO 8601 in UTC.
    """

    label: str
    reader: str
    time: str


def parse_opinions(content: bytes, largest: int | None = LARGEST) -> list[Opinion]:
    """The opinions in a label file.

    Args:
        content: `{"label": ..., "reader": ..., "time": ...}`, of which the last two may be absent; or what the
            datastore keeps, `{"labels": [such objects]}`.
        largest: bytes that it may have; None for what the datastore keeps, which grows with its readers.

    Raises:
        SKDError: it is neither, or too large.

    Example:
        >>> parse_opinions(b'{"label": "normal", "reader": "A", "time": "2026-01-02T03:04:05+00:00"}')
        [Opinion(label='normal', reader='A', time='2026-01-02T03:04:05+00:00')]
    """
    if largest is not None and len(content) > largest:
        raise _refused(f"is larger than {largest} bytes")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _refused("is no JSON") from error
    entries = data["labels"] if isinstance(data, dict) and isinstance(data.get("labels"), list) else [data]
    if not entries:
        raise _refused("holds no label")
    return [_opinion(entry) for entry in entries]


def _opinion(data: Any) -> Opinion:
    if not isinstance(data, dict):
        raise _refused("is no object with a label")
    return Opinion(_text(data, "label"), _text(data, "reader", UNNAMED), _time(data.get("time")))


def _text(data: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = data.get(name)
    if value is None and default is not None:
        return default
    value = value.strip() if isinstance(value, str) else ""
    if not value or len(value) > _LONGEST or not value.isprintable():
        raise _refused(f"its {name} is no text of 1 to {_LONGEST} printable characters")
    return value


def _time(value: Any) -> str:
    if value is None:
        return datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))  # Python 3.10 does not know the Z
        return moment.astimezone(timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as error:
        raise _refused("its time is not ISO 8601") from error


def _refused(cause: str) -> SKDError:
    remedy = 'Send JSON like {"label": "normal", "reader": "A", "time": "2026-01-31T12:00:00Z"}'
    return SKDError("label", cause, remedy)


def merged(before: Iterable[Opinion], new: Iterable[Opinion]) -> list[Opinion]:
    """Each reader's last opinion, by reader's name."""
    of_reader = {opinion.reader: opinion for opinion in (*before, *new)}
    return [of_reader[reader] for reader in sorted(of_reader)]


def to_data(opinions: Iterable[Opinion]) -> dict[str, Any]:
    """What a label file in the datastore holds."""
    return {"labels": [asdict(opinion) for opinion in opinions]}


def majority(opinions: Sequence[Opinion]) -> str | None:
    """The class that most readers give; None where two are given equally often.

    Example:
        >>> said = [Opinion("sick", "A", ""), Opinion("well", "B", ""), Opinion("sick", "C", "")]
        >>> majority(said), majority(said[:2])
        ('sick', None)
    """
    votes = Counter(opinion.label for opinion in opinions).most_common(2)
    if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        return None
    return votes[0][0]


def disagreements(of_images: Mapping[str, Sequence[Opinion]]) -> list[dict[str, Any]]:
    """The images whose readers do not agree, with what each says and the majority (null: a tie)."""
    return [
        {"image": image, "labels": {one.reader: one.label for one in opinions}, "majority": majority(opinions)}
        for image, opinions in sorted(of_images.items())
        if len({one.label for one in opinions}) > 1
    ]
