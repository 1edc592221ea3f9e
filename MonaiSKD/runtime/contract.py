"""The contract of a model file: what it was made for and how to use it, as plain data inside the file.

A model file is one ONNX model whose last bytes are the SHA-256 of all bytes before them, written as a metadata entry:
appending a field to a protocol buffer is adding to it, so the file stays a valid ONNX model, and whoever reads it can
tell at once whether it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.canonical import CanonicalRule

FORMAT = 1
# Keys of the ONNX metadata.
CONTRACT_KEY = "monai_skd"
DIGEST_KEY = "sha256"
OUTPUTS = ("probabilities", "heatmap", "atypicality")

_HEX = 64
# ModelProto.metadata_props is field 14 and an entry's key and value are fields 1 and 2, all of length-delimited type:
# https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_ENTRY = b"\x0a" + bytes([len(DIGEST_KEY)]) + DIGEST_KEY.encode() + b"\x12" + bytes([_HEX])
_PREFIX = b"\x72" + bytes([len(_ENTRY) + _HEX]) + _ENTRY


def sealed(model: bytes) -> bytes:
    """A serialised ONNX model with its own digest behind it.

    Example:
        >>> len(sealed(b"")), unsealed(sealed(b"x"))[:7]
        (76, '2d71164')
    """
    return model + _PREFIX + hashlib.sha256(model).hexdigest().encode()


def unsealed(content: bytes) -> str:
    """The digest of a sealed model, after checking it.

    Raises:
        ValueError: the content carries no digest, or another one than its own.
    """
    split = len(content) - len(_PREFIX) - _HEX
    if split < 0 or content[split:-_HEX] != _PREFIX:
        raise ValueError("it carries no checksum, so no part of this package wrote it")
    digest = hashlib.sha256(memoryview(content)[:split]).hexdigest()
    if digest.encode() != content[-_HEX:]:
        raise ValueError("its checksum does not match its content, so it is damaged or was changed")
    return digest


@dataclass(frozen=True)
class Contract:
    """What a model file says of itself.

    Args:
        name: of the model, such as "chest_xray".
        version: of the model.
        title: one line for people.
        class_names: K classes in the order of the probabilities.
        rule: how stored values become the canonical image.
        image_size: side in pixels that the network resizes to.
        thresholds: class -> the probability from which it counts as present.
        sensitivity: what the thresholds were chosen for, on validation data; in (0, 1).
        temperature: that the logits were divided by.
        atypicality_threshold: above it an image is unlike the training images.
        precision: in which the weights are stored: "float32", "float16" or "int8".
        student: timm name.
        teacher: name, source and licence of the teacher's weights.
        training_data_sha256: fingerprint of the data list.
        seed: of the training; it divides data that give no splits.
        metrics: a short account of validation and test metrics.
        versions: of the packages that made it.
        intended_use: for whom and what not.
        format: version of this contract.

    Example:
        >>> from MonaiSKD.reading import RULES
        >>> limits = {"a": 0.5, "b": 0.5}
        >>> contract = Contract("x", "0.1.0", "", ("a", "b"), RULES["lung_ct"], 112, limits, 0.9, 1.0, 0.5)
        >>> Contract.from_dict(contract.to_dict()) == contract
        True
    """

    name: str
    version: str
    title: str
    class_names: tuple[str, ...]
    rule: CanonicalRule
    image_size: int
    thresholds: Mapping[str, float]
    sensitivity: float
    temperature: float
    atypicality_threshold: float
    precision: str = "float32"
    student: str = ""
    teacher: Mapping[str, str] = field(default_factory=dict)
    training_data_sha256: str = ""
    seed: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    intended_use: str = "research; not for clinical use"
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"its format is {self.format}, this package reads {FORMAT}")
        if len(self.class_names) < 2 or set(self.thresholds) != set(self.class_names):
            raise ValueError(f"its classes {self.class_names} and thresholds {sorted(self.thresholds)} disagree")

    def to_dict(self) -> dict[str, Any]:
        """The contract as JSON data; :meth:`from_dict` is its inverse."""
        return {**asdict(self), "class_names": list(self.class_names), "rule": self.rule.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contract:
        """The contract from the JSON data that :meth:`to_dict` gives.

        Raises:
            ValueError: an entry is missing, unknown or of the wrong kind.
        """
        try:
            rule = CanonicalRule.from_dict(data["rule"])
            return cls(**{**data, "class_names": tuple(data["class_names"]), "rule": rule})
        except (KeyError, TypeError, AttributeError, SKDError) as error:
            raise ValueError(f"its contract is not understood ({error})") from error


def short_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The few of a split's metrics that a model file keeps, and how many images they are of."""
    return {name: metrics[name] for name in ("n", "balanced_accuracy", "macro_auc", "ece")}


def read_contract(path: str | os.PathLike[str]) -> Contract:
    """What a model file says of itself, without opening it for use: ONNX Runtime is not needed.

    Args:
        path: an .onnx file that this package wrote.

    Raises:
        SKDError: the file is absent ("not_found"), damaged or foreign ("model").
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        cause = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise SKDError(file, cause, "Check the path and the permissions", code="not_found") from error
    try:
        unsealed(content)
        for entry in _fields(memoryview(content), _METADATA):
            key, value = (bytes(next(_fields(entry, number), b"")).decode() for number in (1, 2))
            if key == CONTRACT_KEY:
                return Contract.from_dict(json.loads(value))
        raise ValueError("it holds no contract")
    except ValueError as error:
        cause = f"is not a model file of this package: {error}"
        remedy = "Export it again with: monai-skd export RUN --out model.onnx"
        raise SKDError(file, cause, remedy, code="model") from error


# ModelProto.metadata_props, see above.
_METADATA = 14


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The length-delimited fields of one number in a protocol buffer message.

    https://protobuf.dev/programming-guides/encoding/; the onnx package would do it, and weighs ten times this package.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(message, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        elif kind == 2:
            length, place = _varint(message, place)
            if key >> 3 == wanted:
                yield message[place : place + length]
            place += length
        else:
            raise ValueError(f"its field {key >> 3} is of an unknown kind")
    if place != len(message):
        raise ValueError("it ends too early")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("it ends too early")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
