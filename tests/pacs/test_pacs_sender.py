"""Answers by C-STORE, to a PACS that says what a test wishes."""

import threading

import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_servers import free_port
from pacs_studies import DX, content, grey, radiograph
from pynetdicom import AE, evt

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.sender import StoreSender
from MonaiSKD.pacs.settings import Peer
from MonaiSKD.pacs.trouble import Later


@pytest.fixture
def files(tmp_path):
    made = []
    for number in range(2):
        made.append(tmp_path / f"{number}.dcm")
        made[-1].write_bytes(content(radiograph(grey(0.5))))
    return made


@pytest.fixture
def pacs():
    """Starts an SCP that answers with these statuses, one after the other; "abort" aborts."""
    servers = []

    def start(*statuses, sop_class=DX, calling="MONAISKD"):
        left = list(statuses)

        def store(event):
            status = left.pop(0)
            if status == "abort":
                event.assoc.abort()
                return 0
            return status

        ae = AE("PACS")
        ae.require_calling_aet = [calling]
        ae.add_supported_context(sop_class)
        port = free_port()
        servers.append(ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]))
        return StoreSender(Peer("127.0.0.1", port, "PACS", timeout=5))

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("statuses", [(0, 0), (0x0111, 0), (0xB000, 0xB007)])
def test_stored_warned_about_and_stored_before_all_count_as_sent(pacs, files, statuses):
    pacs(*statuses).send(files)


@pytest.mark.parametrize(
    ("statuses", "kind", "cause", "counts"),
    [
        ((0, 0xA700), Later, "out of resources", False),
        ((0xA900,), SKDError, "status A900H", None),
        ((0x0122,), SKDError, "status 0122H", None),
        ((0xC122,), SKDError, "status C122H", None),
        ((0x0110,), Later, "status 0110H", True),
        ((0, 0xC123), Later, "status C123H", True),
        (("abort", 0), Later, "does not answer|breaks the association", False),
    ],
)
def test_what_a_status_means(pacs, files, statuses, kind, cause, counts):
    with pytest.raises(kind, match=cause) as caught:
        pacs(*statuses).send(files)
    assert getattr(caught.value, "counts", None) is counts


def test_a_pacs_that_takes_no_such_objects(pacs, files):
    with pytest.raises((SKDError, Later), match=r"rejects|cannot be reached|takes no such"):
        pacs(sop_class="1.2.840.10008.5.1.4.1.1.4").send(files)


def test_a_pacs_that_does_not_know_us_or_is_not_there(pacs, files):
    with pytest.raises(Later, match="rejects the association"):
        pacs(calling="OTHER").send(files)
    with pytest.raises(Later, match="cannot be reached by DICOM"):
        StoreSender(Peer("127.0.0.1", free_port(), "PACS", timeout=5)).send(files)
    assert all(not thread.name.startswith("Requestor") for thread in threading.enumerate())
