"""Intake by C-STORE: dcmtk's programs and raw bytes against the storage SCP."""

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from io import BytesIO

import pydicom
import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_servers import wait_for
from pacs_studies import CT, DEFLATED, DX, NAME, bomb, content, grey, radiograph, volume, write
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.log import quieten
from MonaiSKD.pacs.settings import Limits, Tls

SR = "1.2.840.10008.5.1.4.1.1.88.33"
ABORT = 0x07


@pytest.fixture(autouse=True)
def quiet_libraries():
    quieten()


def send(port, *files, calling="SENDER", called="SKD", more=()):
    if shutil.which("storescu") is None:
        pytest.skip("storescu (Debian: dcmtk) is not installed")
    command = ["storescu", "-v", *more, "-aet", calling, "-aec", called, "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def stored(incoming):
    return sorted(path.name for path in incoming.folder.glob("*/*/*"))


def associated(port, sop_class=DX, syntax=None):
    ae = AE("SENDER")
    ae.add_requested_context(sop_class, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="SKD")
    assert association.is_established
    return association


def test_what_is_sent_lies_on_the_disk_unchanged(listener, tmp_path):
    server, incoming = listener()
    image = radiograph(grey(0.5))
    code, said = send(server.port, write(image, tmp_path / "a.dcm"))
    assert code == 0, said
    place = incoming.folder / image.StudyInstanceUID / image.SeriesInstanceUID / f"{image.SOPInstanceUID}.dcm"
    kept = pydicom.dcmread(place)
    assert kept == image
    assert kept.file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID
    (series,) = incoming.series(image.StudyInstanceUID)
    assert (series.modality, series.body_part, series.description, series.images) == ("DX", "CHEST", "Thorax pa", 1)


def test_compressed_images_are_taken_as_they_are(listener, shared, tmp_path):
    server, incoming = listener()
    files = [
        shared / "data/dicom/ct_transfer_syntaxes" / name
        for name in (
            "CTImage.dcm_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
            "CTImage.dcm_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm",
            "CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
        )
    ]
    for file, option in zip(files, ("-xv", "-xu", "-xr"), strict=True):
        code, said = send(server.port, file, more=[option])
        assert code == 0, said
        wanted = pydicom.dcmread(file)
        (kept,) = incoming.folder.glob(f"*/*/{wanted.SOPInstanceUID}.dcm")
        assert pydicom.dcmread(kept).PixelData == wanted.PixelData


def test_echo_is_answered(listener):
    server, _ = listener()
    if shutil.which("echoscu") is None:
        pytest.skip("echoscu (Debian: dcmtk) is not installed")
    command = ["echoscu", "-aet", "SENDER", "-aec", "SKD", "127.0.0.1", str(server.port)]
    assert subprocess.run(command, timeout=30).returncode == 0


@pytest.mark.parametrize(
    ("titles", "reason"),
    [({"calling": "STRANGER"}, "Calling AE Title Not Recognized"), ({"called": "OTHER"}, "Called AE Title Not Recog")],
)
def test_other_titles_are_rejected(listener, tmp_path, caplog, titles, reason):
    server, incoming = listener()
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        code, said = send(server.port, write(radiograph(grey(0.5)), tmp_path / "a.dcm"), **titles)
    assert code != 0
    assert reason in said
    assert stored(incoming) == []
    assert '"association rejected"' in caplog.text


def test_an_object_that_is_no_image_is_not_negotiated(listener):
    server, _ = listener()
    ae = AE("SENDER")
    ae.add_requested_context(SR)
    association = ae.associate("127.0.0.1", server.port, ae_title="SKD")
    assert not association.is_established


@pytest.mark.parametrize("changes", [{"StudyInstanceUID": "../../../etc"}, {"SeriesInstanceUID": None}])
def test_an_object_with_wrong_uids_is_not_understood(listener, changes, tmp_path):
    server, incoming = listener()
    association = associated(server.port)
    status = association.send_c_store(radiograph(grey(0.5), **changes))
    association.release()
    assert status.Status == 0xC000
    assert stored(incoming) == []
    assert list(tmp_path.rglob("*.dcm")) == []


def status_of(port, instance, data, syntax=None):
    """Send bytes as a DX and give the status in the answer."""
    association = associated(port, syntax=syntax)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, request.DataSet = DX, instance, BytesIO(data)
    association._reactor_checkpoint.clear()  # or it would take the answer
    wait_for(lambda: association._is_paused, 5, 0.001)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    return answer.Status


def test_an_object_of_another_class_than_announced_is_a_mismatch(listener):
    server, incoming = listener()
    image = radiograph(grey(0.5), SOPClassUID=CT)
    assert status_of(server.port, image.SOPInstanceUID, encode(image, True, True)) == 0xA900
    assert stored(incoming) == []


def test_another_instance_than_announced_is_not_understood(listener):
    server, incoming = listener()
    assert status_of(server.port, "1.2.3", encode(radiograph(grey(0.5)), True, True)) == 0xC000
    assert stored(incoming) == []


def test_bytes_that_are_no_data_set_are_not_understood(listener, caplog):
    server, incoming = listener()
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        assert status_of(server.port, "1.2.3", NAME.encode() * 50) == 0xC000
    assert stored(incoming) == []
    assert "Quillfeather" not in caplog.text


def test_an_object_that_inflates_to_more_than_is_read_is_not_understood(listener, caplog):
    server, incoming = listener()
    image = radiograph(grey(0.5))
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        assert status_of(server.port, image.SOPInstanceUID, bomb(image, 2**29), DEFLATED) == 0xC000
    assert "inflates to more than 268435456 bytes" in caplog.text
    assert stored(incoming) == []


@pytest.mark.parametrize("number", ["201", "202", "203"])
def test_every_syntax_that_is_read_is_taken(listener, number):
    server, _ = listener()
    syntax = f"1.2.840.10008.1.2.4.{number}"  # HTJ2K, which the negotiation was without
    association = associated(server.port, syntax=syntax)
    assert association.accepted_contexts[0].transfer_syntax == [syntax]
    association.release()


def test_an_oversized_object_is_aborted_and_the_next_one_is_taken(listener):
    server, incoming = listener(limits=Limits(object_bytes=100_000, free_bytes=0))
    association = associated(server.port)
    for _ in range(20):  # together larger than the limit, which is one object's
        assert association.send_c_store(radiograph(grey(0.5))).Status == 0
    assert "Status" not in association.send_c_store(radiograph(grey(0.5, 1024)))
    wait_for(lambda: association.is_aborted, 5)
    again = associated(server.port)
    assert again.send_c_store(radiograph(grey(0.5))).Status == 0
    again.release()
    assert len(stored(incoming)) == 21


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
    assert association.is_established is held
    association.abort()


@pytest.mark.parametrize(("free", "remedy"), [(True, "Check address in"), (False, "Choose another port in")])
def test_what_to_do_about_an_address_that_cannot_be_listened_on(listener, free, remedy):
    server, _ = listener()
    with pytest.raises(SKDError, match="cannot be listened on") as caught:
        listener(**{"address": "192.0.2.1"} if free else {"port": server.port})
    assert caught.value.remedy == f"{remedy} [listen]"


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
    time.sleep(0.5)
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
    time.sleep(0.5)
    assert stored(incoming) == []
    associated(server.port).release()


def test_a_full_disk_is_out_of_resources_and_what_was_there_stays(listener, small_disk, caplog):
    server, incoming = listener(folder=small_disk / "incoming")
    association = associated(server.port)
    statuses = []
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        for _ in range(6):
            image = radiograph(grey(0.5, 400))  # 320 kB
            statuses.append(association.send_c_store(image).Status)
    association.release()
    assert statuses == [0, 0, 0, 0xA700, 0xA700, 0xA700]
    assert "the disk of the data folder is full" in caplog.text
    kept = stored(incoming)
    assert len(kept) == 3
    for path in incoming.folder.glob("*/*/*"):
        assert pydicom.dcmread(path).PixelData == grey(0.5, 400).tobytes()
    # Room again: the sender's next attempt succeeds.
    next(incoming.folder.glob("*/*/*")).unlink()
    association = associated(server.port)
    assert association.send_c_store(radiograph(grey(0.5, 400))).Status == 0
    association.release()


def test_a_reserve_stays_free(listener, small_disk):
    server, _ = listener(folder=small_disk / "incoming", limits=Limits(free_bytes=700_000))
    association = associated(server.port)
    statuses = [association.send_c_store(radiograph(grey(0.5, 300))).Status for _ in range(3)]
    association.release()
    assert statuses == [0, 0xA700, 0xA700]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "own.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "own.pem", folder / "key.pem"


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


def test_many_senders_at_once(listener):
    server, incoming = listener(associations=8)
    statuses = []

    def work():
        association = associated(server.port, CT)
        for image in volume(grey(0.5)[None].repeat(10, 0)):
            statuses.append(association.send_c_store(image).Status)
        association.release()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 60
    assert len(stored(incoming)) == 60
    assert all(not name.startswith(".") for name in stored(incoming))
