"""Answers by C-STORE, to a PACS that says what a test wishes."""

import threading

import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_servers import free_port
from pacs_studies import CT, DX, content, grey, radiograph
from pynetdicom import AE, evt

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.clock import Rate, SystemClock
from MonaiSKD.pacs.dicomweb import Client
from MonaiSKD.pacs.sender import StoreSender
from MonaiSKD.pacs.settings import DicomWeb, Limits, Peer, Tls
from MonaiSKD.pacs.tls import server_context
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

    def start(*statuses, sop_class=DX, calling="MONAISKD", server_tls=None, tls=None, host="127.0.0.1"):
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
        handlers = [(evt.EVT_C_STORE, store)]
        context = server_context(server_tls)
        servers.append(ae.start_server(("127.0.0.1", port), False, evt_handlers=handlers, ssl_context=context))
        start.left = left
        return StoreSender(Peer(host, port, "PACS", timeout=5, tls=tls))

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("statuses", [(0, 0), (0x0111, 0), (0xB000, 0xB007)])
def test_stored_warned_about_and_stored_before_all_count_as_sent(pacs, files, statuses):
    pacs(*statuses).send(files)
    assert pacs.left == []  # each was asked for


@pytest.mark.parametrize(
    ("statuses", "kind", "cause", "counts"),
    [
        ((0, 0xA700), Later, "out of resources", False),
        ((0xA702,), Later, "out of resources", False),
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


@pytest.mark.parametrize("second", [DX, CT])  # of all that is sent, or of one of two
def test_a_pacs_that_takes_no_such_objects(pacs, files, second):
    files[1].write_bytes(content(radiograph(grey(0.5), SOPClassUID=second)))
    with pytest.raises(SKDError, match="the PACS takes no such objects"):
        pacs(0, sop_class=CT).send(files)


def test_a_pacs_that_does_not_know_us_or_is_not_there(pacs, files):
    with pytest.raises(Later, match="rejects the association"):
        pacs(calling="OTHER").send(files)
    with pytest.raises(Later, match="cannot be reached by DICOM"):
        StoreSender(Peer("127.0.0.1", free_port(), "PACS", timeout=5)).send(files)
    with pytest.raises(Later, match=r"cannot be reached by DICOM \(.+\). Check host in \[answer\]") as caught:
        StoreSender(Peer("no-such-host.invalid", 104, "PACS", timeout=5)).send(files)
    assert not caught.value.counts
    assert all(not thread.name.startswith("Requestor") for thread in threading.enumerate())


def test_tls_is_spoken_with_whom_the_certificate_names(pacs, files, certificate):
    own, key = certificate
    pacs(0, 0, server_tls=Tls(own, key, own), tls=Tls(own, key, own)).send(files)
    for server, client in ((Tls(own, key), Tls()), (Tls(own, key), None), (None, Tls(ca=own))):
        with pytest.raises(Later, match="cannot be reached by DICOM") as caught:
            pacs(0, 0, server_tls=server, tls=client).send(files)
        assert ("tls, ca and certificate" in caught.value.remedy) == (client is not None)


@pytest.mark.parametrize("wrong", ["ca", "certificate", "key"])
def test_files_of_tls_that_are_none_are_refused_before_anything_is_sent(certificate, tmp_path, wrong):
    own, key = certificate
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    tls = Tls(**{"ca": own, "certificate": own, "key": key, wrong: junk})
    thing = str(own if wrong == "key" else junk)
    for start in (
        lambda: StoreSender(Peer("127.0.0.1", 104, "PACS", tls=tls)),
        lambda: Client(DicomWeb("https://127.0.0.1", tls=tls), Limits(), Rate(1, SystemClock()), threading.Event()),
        lambda: server_context(tls),
    ):
        with pytest.raises(SKDError, match="cannot be used for TLS") as caught:
            start()
        assert str(caught.value.thing) == thing
