"""Connections to the storage SCP: raw bytes, slow ones, too many of them, and TLS."""

import contextlib
import socket
import ssl
import struct
import time

import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_senders import associated, send, stored
from pacs_servers import wait_for
from pacs_studies import DX, content, grey, radiograph, write
from pynetdicom import AE

from MonaiSKD.pacs.settings import Tls

pytestmark = pytest.mark.usefixtures("quiet_libraries")
ABORT = 0x07


def raw(port, sent, seconds=10):
    """What the server answers to raw bytes until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(sent)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(4096):
                answer += piece
        return answer


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">BBL", 0x01, 0, 2**32 - 1),
        struct.pack(">BBL", 0x04, 0, 2**31),
        struct.pack(">BBL", 0x04, 0, 2**24),  # less than an object may have, but not in one unit
        b"GET / ",
    ],
)
def test_a_unit_of_impossible_size_or_kind_is_answered_with_an_abort(listener, head):
    server, _ = listener()
    start = time.monotonic()
    assert raw(server.port, head)[:1] == bytes([ABORT])
    assert time.monotonic() - start < 5
    associated(server.port).release()


@pytest.mark.parametrize("sent", [b"", b"\x01", struct.pack(">BBL", 0x01, 0, 200) + b"\0" * 100])
def test_slow_and_truncated_associations_end_by_themselves_and_hinder_nobody(listener, sent):
    server, incoming = listener(associations=4)
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    for connection in connections:
        connection.sendall(sent)
    association = associated(server.port)
    assert association.send_c_store(radiograph(grey(0.5))).Status == 0
    association.release()
    for connection in connections:
        connection.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(100):
                pass
        connection.close()
    assert len(stored(incoming)) == 1


def test_one_byte_now_and_then_does_not_keep_a_connection(listener):
    server, _ = listener()
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(0.1)
        for byte in struct.pack(">BBL", 0x01, 0, 200) + b"\0" * 200:
            try:
                connection.sendall(bytes([byte]))
                if connection.recv(100) == b"":
                    break
            except TimeoutError:  # it waits for more
                pass
            except ConnectionError:
                break
    assert time.monotonic() - start < 6


@pytest.mark.parametrize(("size", "held"), [(16_000, True), (10, False), (0, False)])
def test_a_message_that_comes_in_slow_units_does_not_keep_an_association(listener, size, held):
    server, _ = listener(timeout=1.0)
    association = associated(server.port)
    connection = association.dul.socket.socket
    # A part of a command that is not the last one; the smallest unit has none.
    part = struct.pack(">LBB", size + 2, 1, 1) + bytes(size) if size else b""
    with contextlib.suppress(OSError):  # it is closed
        for _ in range(6):
            connection.sendall(struct.pack(">BBL", 0x04, 0, len(part)) + part)
            time.sleep(0.4)
    if held:
        assert association.is_established
    else:
        wait_for(lambda: not association.is_established, 10)
    association.abort()


def test_more_associations_than_allowed_are_rejected(listener):
    server, _ = listener(associations=2)
    open_ones = [associated(server.port) for _ in range(2)]
    ae = AE("SENDER")
    ae.add_requested_context(DX)
    third = ae.associate("127.0.0.1", server.port, ae_title="SKD")
    assert third.is_rejected
    for one in open_ones:
        one.release()


def test_more_connections_than_allowed_are_closed(listener):
    server, _ = listener(associations=1)
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
    wait_for(lambda: len(server._server.active_associations) == 4, 10)
    assert raw(server.port, b"", 5) == b""
    for connection in connections:
        connection.close()


def test_an_association_that_breaks_off_leaves_nothing(listener, tmp_path):
    server, incoming = listener()
    association = associated(server.port)
    big = content(radiograph(grey(0.5, 1024)))
    # The start of a C-STORE whose rest never comes.
    connection = association.dul.socket.socket
    connection.sendall(struct.pack(">BBLLBB", 0x04, 0, 50_000, 49_996, 1, 0) + big[:20_000])
    connection.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not server._server.active_associations, 10)
    assert stored(incoming) == []
    associated(server.port).release()


def test_tls(listener, certificate, tmp_path):
    own, key = certificate
    server, incoming = listener(tls=Tls(own, key))
    file = write(radiograph(grey(0.5)), tmp_path / "a.dcm")
    code, said = send(server.port, file, more=["+tla", "+cf", str(own)])
    assert code == 0, said
    assert len(stored(incoming)) == 1
    code, _ = send(server.port, file)  # in the clear
    assert code != 0


def test_tls_demands_a_certificate_of_the_sender(listener, certificate, tmp_path):
    own, key = certificate
    server, incoming = listener(tls=Tls(own, key, own))
    file = write(radiograph(grey(0.5)), tmp_path / "a.dcm")
    code, _ = send(server.port, file, more=["+tla", "+cf", str(own)])
    assert code != 0
    assert stored(incoming) == []
    code, said = send(server.port, file, more=["+tls", str(key), str(own), "+cf", str(own)])
    assert code == 0, said


def test_a_handshake_that_never_comes_does_not_stop_the_others(listener, certificate):
    own, key = certificate
    server, _ = listener(tls=Tls(own, key))
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    context = ssl.create_default_context(cafile=str(own))
    ae = AE("SENDER")
    ae.add_requested_context(DX)
    association = ae.associate("127.0.0.1", server.port, ae_title="SKD", tls_args=(context, "localhost"))
    assert association.is_established
    association.release()
    for one in silent:
        one.close()
