"""What pynetdicom leaves open against a hostile or broken sender: sizes, slow bytes, and slow TLS handshakes.

pynetdicom takes the length that a protocol data unit states at its word, waits for its bytes without a limit of time,
keeps a whole object in memory whatever its size, and shakes TLS hands in the thread that accepts connections.
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import sys
import time
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from MonaiSKD.pacs.log import log

_HEAD = 6
_P_DATA = 0x04
# Of any unit, which is read whole whoever sends it: an association with every context offered is far smaller, and so is
# a unit of data of a sender that keeps to the 16 KiB that pynetdicom announces.
_MOST_UNIT = 1 << 20
# Bytes a second that a message comes with, once its first seconds have gone.
_SLOWEST = 1 << 14
# No unit has this type, so the state machine of PS3.8 answers with A-ABORT.
_NO_TYPE = 0x00


class GuardedSocket(AssociationSocket):
    """A connection that reads units and messages within times and sizes; what breaks them is answered with A-ABORT.

    Args:
        plain: the connection as pynetdicom made it; it has announced itself already, so this one takes its place.
        seconds: for a whole unit, from its first byte; and for a whole message, which has more by its size. For silence
            between them, pynetdicom has a time.
        object_bytes: of a whole message.
    """

    def __init__(self, plain: AssociationSocket, seconds: float, object_bytes: int) -> None:
        self.__dict__.update(plain.__dict__)
        self._seconds, self._object_bytes = seconds, object_bytes
        self._deadline = self._began = 0.0
        self.message_bytes = 0

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes; fewer where the connection ends."""
        if nr_bytes == _HEAD:
            self._deadline = time.monotonic() + self._seconds
        taken = self._exactly(nr_bytes)
        if nr_bytes == _HEAD and len(taken) == _HEAD and not self._allowed(taken):
            taken[0] = _NO_TYPE
        return taken

    def _allowed(self, head: bytearray) -> bool:
        kind, _, length = struct.unpack(">BBL", head)
        if length > _MOST_UNIT:
            return False
        if kind != _P_DATA:
            return True
        if not self.message_bytes:
            self._began = time.monotonic()
        self.message_bytes += _HEAD + length  # so that empty units count, too
        most = self._seconds + self.message_bytes / _SLOWEST
        return self.message_bytes <= self._object_bytes and time.monotonic() - self._began <= most

    def _exactly(self, count: int) -> bytearray:
        assert self.socket is not None
        taken = bytearray()
        try:
            while len(taken) < count:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("too slow")
                self.socket.settimeout(left)
                piece = self.socket.recv(min(count - len(taken), 1 << 16))
                if not piece:
                    break
                taken += piece
        finally:
            self._writable()
        return taken

    def _writable(self) -> None:
        """A peer that does not read must not hold us either."""
        if self.socket is not None and self.socket.fileno() >= 0:
            self.socket.settimeout(self._seconds)


class _Handler(RequestHandler):
    server: GuardedServer

    def handle(self) -> None:
        self.request.settimeout(self.server.seconds)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().handle()

    def _create_association(self) -> Association:
        association = super()._create_association()
        plain = association.dul.socket
        assert plain is not None
        association.dul.socket = GuardedSocket(plain, self.server.seconds, self.server.object_bytes)
        return association


class GuardedEntity(AE):
    """An application entity whose limit of associations counts those that were asked for, not silent connections."""

    @property
    def active_associations(self) -> list[Association]:
        """Associations that were asked for and have not ended."""
        return [one for one in super().active_associations if one.requestor.primitive is not None]


class GuardedServer(ThreadedAssociationServer):
    """A server of guarded connections, at most so many at once.

    Args:
        seconds: see :class:`GuardedSocket`.
        object_bytes: likewise.
        connections: at once; further ones are closed. Associations are counted by pynetdicom, which rejects them.
    """

    daemon_threads = True

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: list[Any] | None = None,
        *,
        seconds: float,
        object_bytes: int,
        connections: int,
    ) -> None:
        self.seconds, self.object_bytes, self._connections = seconds, object_bytes, connections
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, _Handler)
        self.bind(evt.EVT_DIMSE_RECV, _message_ended)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; TLS hands are shaken in its own thread."""
        assert self.socket is not None
        client, address = self.socket.accept()
        if self.ssl_context:
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more connection."""
        return len(self.active_associations) < self._connections

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that failed before it was an association, such as in its TLS handshake, is closed."""
        log("connection failed", logging.WARNING, reason=type(sys.exc_info()[1]).__name__)


def _message_ended(event: evt.Event) -> None:
    connection = event.assoc.dul.socket
    if isinstance(connection, GuardedSocket):
        connection.message_bytes = 0
