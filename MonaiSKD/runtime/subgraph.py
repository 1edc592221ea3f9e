"""The part of an ONNX model that some of its outputs need.

ONNX Runtime computes every node of a graph, whatever outputs are asked for: `only_execute_path_to_fetches` has no effect
in its builds for inference. Heat maps are four fifths of a student's work, so what only they need is taken out of the
graph before a session is made. The package onnx would do that, but is not needed to run models; the few fields that
matter here are found in the bytes: https://protobuf.dev/programming-guides/encoding for the encoding,
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the numbers of the fields.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

# Numbers of fields.
_GRAPH = 7  # of ModelProto
_NODE, _WEIGHT, _OUTPUT = 1, 5, 12  # of GraphProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND = 1, 2, 4  # of NodeProto
_NAME = {_WEIGHT: 8, _OUTPUT: 1}  # of TensorProto and ValueInfoProto

# Their nested graphs may take anything from the graph around them.
_NESTING = {"If", "Loop", "Scan"}

_LENGTH_DELIMITED = 2
_FIXED_BYTES = {1: 8, 5: 4}


class _Field(NamedTuple):
    """Where a field lies: `start` to `stop` with its number and length, `value` to `stop` without."""

    number: int
    start: int
    value: int
    stop: int


def output_names(model: bytes) -> list[str]:
    """The names of a model's outputs, in order.

    Raises:
        ValueError: the bytes are no ONNX model.
    """
    return [name for field in _graph(model) if field.number == _OUTPUT for name in _names(model, field)]


def with_outputs(model: bytes, kept: Collection[str]) -> bytes:
    """The model with fewer outputs, and without the nodes and weights that none of these needs.

    A model with nested graphs is left as it is.

    Raises:
        ValueError: the bytes are no ONNX model.
    """
    graph = _graph(model)
    needed = set(kept)
    nodes: list[bytes] = []
    # Backwards, for a node stands behind those whose outputs it takes.
    for field in reversed(graph):
        if field.number != _NODE:
            continue
        texts = _node(model, field)
        if not _NESTING.isdisjoint(texts[_NODE_KIND]):
            return model
        if not needed.isdisjoint(texts[_NODE_OUTPUT]):
            needed.update(texts[_NODE_INPUT])
            nodes.append(model[field.start : field.stop])
    others = [
        model[field.start : field.stop]
        for field in graph
        if field.number != _NODE and (field.number not in _NAME or not needed.isdisjoint(_names(model, field)))
    ]
    body = b"".join((*reversed(nodes), *others))
    outside = (model[field.start : field.stop] for field in _fields(model, 0, len(model)) if field.number != _GRAPH)
    return b"".join((*outside, bytes([_GRAPH << 3 | _LENGTH_DELIMITED]), _as_varint(len(body)), body))


def _graph(model: bytes) -> list[_Field]:
    graphs = [field for field in _fields(model, 0, len(model)) if field.number == _GRAPH]
    if len(graphs) != 1:
        raise ValueError("it holds no graph")
    return list(_fields(model, graphs[0].value, graphs[0].stop))


def _names(model: bytes, outer: _Field) -> list[str]:
    inner = _fields(model, outer.value, outer.stop)
    return [model[field.value : field.stop].decode() for field in inner if field.number == _NAME[outer.number]]


def _node(model: bytes, node: _Field) -> dict[int, list[str]]:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_KIND: []}
    for number, _, value, stop in _fields(model, node.value, node.stop):
        if number in texts:
            texts[number].append(model[value:stop].decode())
    return texts


def _fields(message: bytes, start: int, end: int) -> Iterator[_Field]:
    """The fields of a message that lies between `start` and `end`, in the order they are stored."""
    while start < end:
        tag, value = _varint(message, start)
        kind, length = tag & 7, 0
        if kind == _LENGTH_DELIMITED:
            length, value = _varint(message, value)
        elif kind == 0:
            _, value = _varint(message, value)
        else:
            length = _FIXED_BYTES.get(kind, end)
        stop = value + length
        if stop > end:
            raise ValueError("it is no protocol buffer")
        yield _Field(tag >> 3, start, value, stop)
        start = stop


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while (byte := message[place]) > 0x7F:
            value |= (byte & 0x7F) << shift
            shift += 7
            place += 1
            if shift > 63:
                raise ValueError("it is no protocol buffer")
    except IndexError:
        raise ValueError("it is no protocol buffer") from None
    return value | byte << shift, place + 1


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
