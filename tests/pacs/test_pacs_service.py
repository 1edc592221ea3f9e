"""Several workers over one queue; real models, images and sockets."""

import json
import shutil
import sqlite3
import threading
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")

from pacs_servers import free_port, wait_for
from pacs_studies import content, grey, volume
from pynetdicom import AE, evt
from tinymodel import write_tiny_model

from MonaiSKD.errors import SKDError
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
    first, waiting = service._next(), service.queue.waiting
    row = first.__enter__()

    def finish():
        service.queue.answered(row.key, "dark, 0.70", "2.25.1")
        first.__exit__(None, None, None)

    finishing = threading.Thread(target=finish)

    def slowly():
        """The rows as they are; until they are looked at, the first worker is done with its own."""
        keys = waiting()
        finishing.start()
        finishing.join(0.5)
        return keys

    monkeypatch.setattr(service.queue, "waiting", slowly)
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


def test_a_queue_that_cannot_be_read_is_said_once(service, tmp_path, caplog):
    other = sqlite3.connect(tmp_path / "data" / "queue.sqlite")
    other.execute("ALTER TABLE work RENAME TO elsewhere")

    def said(event):
        lines = [json.loads(record.message) for record in caplog.records if record.name == "MonaiSKD.pacs"]
        return [line for line in lines if line["event"] == event and line["what"] == "queue"]

    running = threading.Thread(target=partial(service._answer_all, service._classifiers[0]))
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        running.start()
        try:
            wait_for(lambda: said("trouble"), 10)
            time.sleep(0.7)  # in which it is looked at again
            assert len(said("trouble")) == 1
            other.execute("ALTER TABLE elsewhere RENAME TO work")
            wait_for(lambda: said("trouble over"), 10)
        finally:
            other.close()
            service.stop.set()
            running.join()


def test_the_data_folder_is_its_owners_alone(service):
    assert service.settings.data.stat().st_mode & 0o777 == 0o700


def test_one_model_under_two_names_is_refused(tmp_path):
    first, second = write_tiny_model(tmp_path / "one.onnx"), tmp_path / "two.onnx"
    shutil.copy(first, second)
    routes = (Route("one", ("DX",), file=str(first)), Route("two", ("CR",), file=str(second)))
    with pytest.raises(SKDError, match="two: is the same model as one"):
        Service(Settings(tmp_path / "data", routes, Answer(Peer("127.0.0.1", 1, "PACS"))))
