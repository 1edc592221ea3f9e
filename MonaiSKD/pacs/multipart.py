"""multipart/related (RFC 2387): the bodies that DICOMweb moves objects in, read piece by piece and written."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from pathlib import Path

_MOST_HEAD = 16 * 1024


class Malformed(ValueError):
    """The body is not what its type promises."""


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type states.

    Raises:
        Malformed: it is of another type, or states none.

    Example:
        >>> boundary_of('multipart/related; type="application/dicom"; boundary="b"')
        b'b'
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise Malformed("it is not multipart/related")
    return boundary.encode("latin-1", "replace")


def parts(pieces: Iterable[bytes], boundary: bytes) -> Iterator[Iterator[bytes]]:
    """The parts of a body, each as pieces; a part must be read to its end before the next one is asked for.

    Args:
        pieces: the body, in pieces of any size.
        boundary: that the parts are divided by.

    Raises:
        Malformed: the body ends before its last boundary, or has a head without end.

    Example:
        >>> body = b"--b\\r\\nContent-Type: x\\r\\n\\r\\none\\r\\n--b\\r\\n\\r\\n\\r\\n--b--"
        >>> [b"".join(part) for part in parts([body], b"b")]
        [b'one', b'']
    """
    reader = _Reader(iter(pieces))
    mark = b"\r\n--" + boundary
    reader.buffer = b"\r\n"  # the first boundary may stand at the very start
    for _ in reader.until(mark):
        pass
    while True:
        end = reader.exactly(2)
        if end == b"--":
            return
        if end != b"\r\n":
            raise Malformed("a boundary is followed by something else")
        # An empty head leaves a bare line end.
        reader.buffer = b"\r\n" + reader.buffer
        head = 0
        for piece in reader.until(b"\r\n\r\n"):
            head += len(piece)
            if head > _MOST_HEAD:
                raise Malformed("a part's head does not end")
        yield reader.until(mark)


class _Reader:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.buffer = pieces, b""

    def until(self, mark: bytes) -> Iterator[bytes]:
        """What comes before the mark; the mark itself is taken away."""
        while (place := self.buffer.find(mark)) < 0:
            keep = len(mark) - 1
            ready, self.buffer = self.buffer[:-keep], self.buffer[-keep:]
            if ready:
                yield ready
            self._more()
        ready, self.buffer = self.buffer[:place], self.buffer[place + len(mark) :]
        if ready:
            yield ready

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def _more(self) -> None:
        piece = next(self.pieces, None)
        if piece is None:
            raise Malformed("it ends before its last boundary")
        self.buffer += piece


def body(files: Sequence[Path]) -> tuple[str, Iterator[bytes]]:
    """A request that stores DICOM files: its Content-Type and its pieces."""
    boundary = uuid.uuid4().hex

    def pieces() -> Iterator[bytes]:
        for file in files:
            yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            yield file.read_bytes()
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return f'multipart/related; type="application/dicom"; boundary={boundary}', pieces()
