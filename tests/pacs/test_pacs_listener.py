"""Intake by C-STORE: dcmtk's programs and pynetdicom's associations against the storage SCP."""

import shutil
import subprocess
import threading
from io import BytesIO

import pydicom
import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_senders import associated, send, stored
from pacs_servers import wait_for
from pacs_studies import CT, DEFLATED, DX, NAME, bomb, grey, radiograph, volume, write
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.settings import Limits

pytestmark = pytest.mark.usefixtures("quiet_libraries")
SR = "1.2.840.10008.5.1.4.1.1.88.33"


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


@pytest.mark.parametrize(("free", "remedy"), [(True, "Check address in"), (False, "Choose another port in")])
def test_what_to_do_about_an_address_that_cannot_be_listened_on(listener, free, remedy):
    server, _ = listener()
    with pytest.raises(SKDError, match="cannot be listened on") as caught:
        listener(**{"address": "192.0.2.1"} if free else {"port": server.port})
    assert caught.value.remedy == f"{remedy} [listen]"


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
