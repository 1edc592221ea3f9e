"""Several workers over one queue; real models, images and sockets."""

import threading

import numpy as np
import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_servers import free_port, wait_for
from pacs_studies import content, grey, volume
from pynetdicom import AE, evt
from tinymodel import write_tiny_model

from MonaiSKD.pacs.routing import Route
from MonaiSKD.pacs.service import Service
from MonaiSKD.pacs.settings import Answer, Limits, Listen, Peer, Settings
from MonaiSKD.runtime.modelfile import ModelFile

SR = "1.2.840.10008.5.1.4.1.1.88.33"


@pytest.fixture
def service(tmp_path):
    """A service of two workers, with two CT studies in its queue, that answers to a storage SCP."""
    reports = []

    def keep(event):
        reports.append(event.dataset)
        return 0x0000

    ae = AE("PACS")
    ae.add_supported_context(SR)
    port = free_port()
    pacs = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    route = Route("ct", ("CT",), file=str(write_tiny_model(tmp_path / "ct.onnx", "lung_ct")))
    answer = Answer(Peer("127.0.0.1", port, "PACS", timeout=10))
    listen = Listen(("SENDER",), port=0, quiet=0)
    made = Service(Settings(tmp_path / "data", (route,), answer, listen=listen, limits=Limits(free_bytes=0), workers=2))
    made.reports = reports
    for level in (0.3, 0.4):
        for image in volume(np.stack([grey(level)] * 3)):
            made.incoming.keep(content(image), image.SOPInstanceUID)
    made._gatherer.gather()
    yield made
    made.stop.set()
    made._closing.close()
    pacs.shutdown()


def test_workers_classify_volumes_at_the_same_time(service, monkeypatch):
    meeting, run = threading.Barrier(2), ModelFile.run

    def run_together(self, images):
        meeting.wait(15)  # raises where the other worker does not come
        return run(self, images)

    monkeypatch.setattr(ModelFile, "run", run_together)
    running = threading.Thread(target=service.run)
    running.start()
    try:
        wait_for(lambda: service.reports[1:] or service.queue.rows(["retrying", "unanswerable"]), 60)
        wait_for(lambda: len(service.queue.rows(["answered"])) == 2, 5)
    finally:
        service.stop.set()
        running.join()


def test_a_study_that_is_done_with_while_another_worker_chooses_is_not_chosen_again(service, monkeypatch):
    first, all_rows = service._next(), service.queue.rows
    row = first.__enter__()

    def finish():
        service.queue.answered(row.key, "dark, 0.70", "2.25.1")
        first.__exit__(None, None, None)

    finishing = threading.Thread(target=finish)

    def slow_rows(states):
        """The rows as they are; until they are looked at, the first worker is done with its own."""
        rows = all_rows(states)
        finishing.start()
        finishing.join(0.5)
        return rows

    monkeypatch.setattr(service.queue, "rows", slow_rows)
    with service._next() as other:
        assert other.key != row.key
    finishing.join()
    assert row.key not in service._busy


def test_a_row_from_an_old_list_is_not_answered_again(service):
    old = service.queue.rows()
    for row in old:
        service._worker.work(row, service._classifiers[0])
    for row in old:
        service._worker.work(row, service._classifiers[0])
    assert len(service.reports) == 2
    assert {row.state for row in service.queue.rows()} == {"answered"}
