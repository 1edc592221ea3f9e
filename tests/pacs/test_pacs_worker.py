"""One study, with everything that can go wrong on its way; real models and images, a PACS whose moods a test sets."""

import contextlib
import os
import sqlite3
from collections import Counter
from datetime import timedelta

import pydicom
import pytest
from pacs_clock import Clock
from pacs_studies import content, grey, radiograph
from tinymodel import write_tiny_model

pytest.importorskip("requests", reason="the extra `pacs` is not installed")

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.answers import prepare, prepared
from MonaiSKD.pacs.clock import Backoff
from MonaiSKD.pacs.dicomweb import Taken
from MonaiSKD.pacs.incoming import Incoming
from MonaiSKD.pacs.intake import Gatherer
from MonaiSKD.pacs.queue import Queue
from MonaiSKD.pacs.routing import Route, SeriesFacts
from MonaiSKD.pacs.settings import Limits
from MonaiSKD.pacs.trouble import Later
from MonaiSKD.pacs.worker import Worker
from MonaiSKD.runtime import Classifier

ROUTES = [Route("cxr", ("DX",))]


class Sender:
    """Keeps what it is sent, or raises what it is told to."""

    def __init__(self):
        self.troubles, self.sent = [], []

    def send(self, files):
        if self.troubles:
            raise self.troubles.pop(0)
        self.sent.append([pydicom.dcmread(file) for file in files])


class Desk:
    """A worker with one radiograph in its queue."""

    def __init__(self, folder, image, limits=None, heat_maps="secondary-capture"):
        folder.mkdir(exist_ok=True)
        self.clock, self.sender, self.folder = Clock(), Sender(), folder
        self.queue = Queue(folder / "queue.sqlite", self.clock.now)
        self.incoming = Incoming(folder / "incoming", 0, self.clock)
        self.incoming.keep(content(image), image.SOPInstanceUID)
        Gatherer(0, ROUTES, self.incoming, self.queue).gather()
        self.classifiers = {"cxr": Classifier(write_tiny_model(folder / "cxr.onnx"), threads=1)}
        self.limits = limits or Limits(free_bytes=0)
        self.worker = Worker(
            queue=self.queue,
            routes=ROUTES,
            incoming=self.incoming,
            data=folder,
            client=None,
            sender=self.sender,
            limits=self.limits,
            heat_maps=heat_maps,
            backoff=Backoff(10, 100, lambda: 1.0),
            clock=self.clock,
        )

    @property
    def row(self):
        (row,) = self.queue.rows()
        return row

    def work(self):
        assert self.worker.is_due(self.row.key)
        self.worker.work(self.row, self.classifiers)
        return self.row


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, radiograph(grey(0.3)))
    yield made
    made.queue.close()


def test_an_answer_is_sent_and_nothing_of_it_stays(desk):
    row = desk.work()
    assert (row.state, row.answer) == ("answered", "dark, 0.70")
    ((heat, report),) = desk.sender.sent  # the report last: where the PACS has it, it has all
    assert report.SOPInstanceUID == report.file_meta.MediaStorageSOPInstanceUID == row.report
    assert (report.Modality, heat.Modality) == ("SR", "OT")
    assert report.StudyInstanceUID == heat.StudyInstanceUID == row.study
    assert not list(desk.folder.glob("outbox/*"))


def test_the_same_study_has_the_same_uids_and_another_model_has_others(tmp_path):
    image = radiograph(grey(0.3))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(content(image))
    uids = []
    for version in ("0.0.1", "0.0.1", "0.0.2"):
        model = Classifier(write_tiny_model(tmp_path / "m.onnx", version=version), threads=1)
        answer = prepare(model, image.StudyInstanceUID, [tmp_path / "in"], tmp_path / "out", "secondary-capture")
        uids.append([(one.SOPInstanceUID, one.SeriesInstanceUID) for one in map(pydicom.dcmread, answer.files)])
        assert answer == prepared(tmp_path / "out")
    assert uids[0] == uids[1]
    assert not {uid for pair in uids[0] for uid in pair} & {uid for pair in uids[2] for uid in pair}
    assert len({uid for pair in uids[0] for uid in pair}) == 4


def test_waiting_is_longer_each_time_and_no_clock_shortens_it(desk):
    desk.sender.troubles = [Later("the PACS is down", "Wait")] * 3
    for wait in (10, 20, 40):
        row = desk.work()
        assert (row.state, row.reason, row.attempts) == ("retrying", "the PACS is down", 0)
        desk.clock.day += timedelta(days=900)
        assert not desk.worker.is_due(row.key)
        desk.clock.day -= timedelta(days=1900)
        desk.clock.seconds += wait - 1
        assert not desk.worker.is_due(row.key)
        desk.clock.seconds += 1
    assert desk.work().state == "answered"
    assert len(desk.sender.sent) == 1


def test_images_that_come_after_the_answer_was_made_are_not_passed_over_in_silence(tmp_path, caplog):
    image = radiograph(grey(0.3))
    desk = Desk(tmp_path, image, heat_maps="none")
    gatherer = Gatherer(0, ROUTES, desk.incoming, desk.queue)
    desk.sender.troubles = [Later("the PACS is down", "Wait")]
    desk.work()
    late = radiograph(grey(0.3), study=image.StudyInstanceUID)
    desk.incoming.keep(content(late), late.SOPInstanceUID)
    gatherer.gather()
    desk.clock.seconds += 10
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        assert desk.work().answer == "dark, 0.70"
    assert f'"event": "ignored", "study": "{desk.row.key}", "reason": "images came after' in caplog.text


def test_what_was_made_before_a_failure_is_sent_as_it_is(desk):
    desk.sender.troubles = [Later("the PACS is down", "Wait")]
    desk.work()
    (report,) = desk.folder.glob("outbox/*/answer.json")
    made = {pydicom.dcmread(file).SOPInstanceUID: file.read_bytes() for file in report.parent.glob("*.dcm")}
    times = {pydicom.dcmread(file).ContentTime for file in report.parent.glob("*.dcm")}
    desk.incoming.remove(desk.row.study)  # the images are not needed any more
    desk.clock.seconds += 10
    assert desk.work().state == "answered"
    assert {one.SOPInstanceUID for one in desk.sender.sent[0]} == made.keys()
    assert {one.ContentTime for one in desk.sender.sent[0]} == times


def test_what_may_be_the_studys_own_fault_ends(tmp_path):
    desk = Desk(tmp_path, radiograph(grey(0.3)), Limits(free_bytes=0, attempts=3))
    desk.sender.troubles = [Later("HTTP status 500", "Look into the log", counts=True)] * 9
    states = []
    for _ in range(3):
        states.append(desk.work().state)
        desk.clock.seconds += 1000
    assert states == ["retrying", "retrying", "unanswerable"]
    assert desk.row.reason == "given up after 3 attempts: HTTP status 500"


def test_a_refusal_is_for_good(desk):
    desk.sender.troubles = [SKDError("the report", "the PACS refuses it (status A900H)", "Look it up", "unsupported")]
    row = desk.work()
    assert (row.state, row.code, row.reason) == ("unanswerable", "unsupported", "the PACS refuses it (status A900H)")


def test_a_defect_of_ours_costs_no_study(desk):
    desk.sender.troubles = [RuntimeError("Quillfeather^Synthia")]
    row = desk.work()
    assert (row.state, row.attempts, row.reason) == ("retrying", 1, "internal error (RuntimeError)")
    desk.clock.seconds += 10
    assert desk.work().state == "answered"


@pytest.mark.parametrize("room", [0, 12_000, 24_000, 60_000])
def test_a_full_disk_makes_it_wait(small_disk, room):
    desk = Desk(small_disk, radiograph(grey(0.3)), heat_maps="none")
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    desk.worker.work(desk.row, desk.classifiers)  # not even the queue can be written
    assert desk.row.state == "received"
    with filler.open("r+b") as stream:
        stream.truncate(filler.stat().st_size - room)
    desk.clock.seconds += 1000
    desk.worker.work(desk.row, desk.classifiers)
    assert desk.row.state != "unanswerable"
    filler.unlink()
    desk.clock.seconds += 1000
    desk.worker.work(desk.row, desk.classifiers)
    assert desk.row.state == "answered"
    assert len({report.SOPInstanceUID for (report,) in desk.sender.sent}) == 1
    desk.queue.close()


def test_a_disk_that_is_full_for_long_is_no_fault_of_the_study(small_disk):
    """At some sizes there is room to note that an attempt begins, and none to note how it ends."""
    desk = Desk(small_disk, radiograph(grey(0.3)), Limits(free_bytes=0, attempts=2), heat_maps="none")
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
    states = []
    for _ in range(8):
        os.truncate(filler, filler.stat().st_size - 4096)
        desk.clock.seconds += 1000
        desk.worker.work(desk.row, desk.classifiers)
        states.append((desk.row.state, desk.row.attempts))
    assert states.count(("working", 0)) > 2
    filler.unlink()
    desk.clock.seconds += 1000
    assert desk.work().state == "answered"
    desk.queue.close()


def test_a_queue_that_cannot_be_written_does_not_lose_the_row(desk, monkeypatch):
    original = desk.queue.answered

    def failing(*_):
        monkeypatch.setattr(desk.queue, "answered", original)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(desk.queue, "answered", failing)
    assert desk.work().state == "working"
    desk.clock.seconds += 10
    assert desk.work().state == "answered"
    # It was sent twice, as the same objects.
    first, second = desk.sender.sent
    assert [one.SOPInstanceUID for one in first] == [one.SOPInstanceUID for one in second]


def test_a_model_that_no_rule_names_any_more(desk):
    desk.classifiers = {}
    row = desk.work()
    assert (row.state, row.code) == ("unanswerable", "model")


def test_a_study_that_kills_the_service_does_so_no_more_often_than_others_may_fail(tmp_path):
    desk = Desk(tmp_path, radiograph(grey(0.3)), Limits(free_bytes=0, attempts=3))
    for _ in range(3):
        desk.queue.working(desk.row.key)  # and then the process was killed
    row = desk.work()
    assert (row.state, row.code, desk.sender.sent) == ("unanswerable", "internal", [])
    assert row.reason == "given up after 3 attempts: the service ended while it worked on it"
    assert desk.queue.again(row.key)
    assert desk.work().state == "answered"


def test_images_of_two_patients_in_one_study_are_not_reported_on(tmp_path):
    first = radiograph(grey(0.3))
    desk = Desk(tmp_path, first)
    other = radiograph(grey(0.3), study=first.StudyInstanceUID)
    other.PatientID, other.SeriesInstanceUID = "another", first.SeriesInstanceUID
    desk.incoming.keep(content(other), other.SOPInstanceUID)
    row = desk.work()
    assert (row.state, row.reason, desk.sender.sent) == ("unanswerable", "holds images of several patients", [])


class Pacs:
    """A DICOMweb server that has what it is given, whatever study is asked for, and shows what the sender was sent.

    Of each series it lists as many images more as it has lost.
    """

    def __init__(self, desk, images, lost=0):
        self.images, self.desk, self.lost = images, desk, lost

    def series(self, study):
        counts = Counter(image.SeriesInstanceUID for image in self.images)
        return [SeriesFacts(uid, "DX", images=count + self.lost) for uid, count in counts.items()]

    def retrieve(self, study, series, folder, room, taken):
        folder.mkdir(parents=True)
        images = [image for image in self.images if image.SeriesInstanceUID == series]
        for number, image in enumerate(images):
            (folder / f"{number}.dcm").write_bytes(content(image))
        return Taken(taken.images + len(images))

    def holds(self, study, series, instance):
        return any(one.SOPInstanceUID == instance for files in self.desk.sender.sent for one in files)


def test_what_the_pacs_has_already_is_not_sent_again_and_what_it_does_not_show_is_not_answered(desk):
    image = pydicom.dcmread(next(desk.folder.glob("incoming/*/*/*.dcm")))
    desk.worker.client = pacs = Pacs(desk, [image])
    pacs.holds = lambda *_: False
    row = desk.work()
    assert (row.state, row.attempts) == ("retrying", 1)
    assert row.reason == "the PACS took the report but does not show it"
    pacs.holds = lambda *_: True
    desk.clock.seconds += 1000
    assert desk.work().state == "answered"
    assert len(desk.sender.sent) == 1


def test_nothing_is_begun_within_the_reserve_of_the_disk(desk):
    desk.worker.incoming = Incoming(desk.folder / "incoming", 2**60, desk.clock)
    row = desk.work()
    assert (row.state, row.attempts) == ("retrying", 0)
    assert row.reason == "the disk of the data folder is full but for its reserve"


def test_images_of_another_study_than_was_asked_for_are_not_reported_on(desk):
    desk.incoming.remove(desk.row.study)
    desk.worker.client = Pacs(desk, [radiograph(grey(0.3))])
    row = desk.work()
    assert (row.state, row.reason, desk.sender.sent) == ("unanswerable", "holds images of another study", [])


def test_a_part_of_the_images_is_not_answered_for_the_whole(tmp_path):
    image = radiograph(grey(0.3))
    desk = Desk(tmp_path, image)
    second = radiograph(grey(0.3), study=image.StudyInstanceUID)
    second.SeriesInstanceUID, second.PatientID = image.SeriesInstanceUID, image.PatientID
    routed = {"cxr": [SeriesFacts(image.SeriesInstanceUID, "DX", images=2)]}
    desk.queue.offer(image.StudyInstanceUID, 2, routed, "")  # the PACS has two; here, there is one
    desk.worker.client = Pacs(desk, [image], lost=1)
    row = desk.work()
    assert (row.state, row.reason) == ("retrying", "the PACS sent 1 of its 2 images")
    assert not list(desk.folder.glob("work/*"))  # so that waiting studies do not fill the disk
    desk.worker.client = Pacs(desk, [image, second])
    desk.clock.seconds += 1000
    assert desk.work().answer == "dark, 0.70; dark, 0.70"


@pytest.mark.parametrize("images", [0, 1, 2, 3])
def test_the_answer_is_of_what_the_pacs_has_now_not_of_what_it_had(tmp_path, images):
    first = radiograph(grey(0.3))
    desk = Desk(tmp_path, first)
    desk.incoming.remove(desk.row.study)
    gone = {"cxr": [SeriesFacts("1.2.3", "DX", images=1), SeriesFacts("1.2.4", "DX", images=1)]}
    desk.queue.offer(desk.row.study, 2, gone, "")
    there = [radiograph(grey(0.3), study=first.StudyInstanceUID) for _ in range(images)]
    desk.worker.client = Pacs(desk, there)
    row = desk.work()
    assert (set(row.series), row.images) == (
        ({image.SeriesInstanceUID for image in there}, images) if images else ({"1.2.3", "1.2.4"}, 2)
    )
    if images:
        assert (row.state, row.answer) == ("answered", "; ".join(["dark, 0.70"] * images))
    else:
        assert (row.state, row.reason) == ("unanswerable", "the PACS has no series for this model any more")
        assert desk.queue.offer(row.study, 2, gone, "") == {row.key: "received"}  # they are there again


def test_a_study_sent_here_has_the_limits_of_one_that_is_retrieved(tmp_path):
    for number, limits in enumerate((Limits(free_bytes=0, study_bytes=1024), Limits(free_bytes=0, study_images=0))):
        desk = Desk(tmp_path / str(number), radiograph(grey(0.3)), limits)
        assert desk.work().code == "too_large"
        desk.queue.close()


def test_what_a_killed_process_left_is_removed_and_what_is_waited_for_stays(desk):
    desk.sender.troubles = [Later("the PACS is down", "Wait")]
    desk.work()
    for left in ("work/a/0", "outbox/b", "outbox/.c.part"):
        (desk.folder / left).mkdir(parents=True)
    desk.worker.sweep()
    assert not (desk.folder / "work").exists()
    assert [folder.name for folder in desk.folder.glob("outbox/*")] == [desk.row.key]


def test_images_that_are_gone_may_be_sent_again(tmp_path):
    image = radiograph(grey(0.3))
    desk = Desk(tmp_path, image)
    desk.incoming.remove(desk.row.study)
    assert desk.work().reason == "its images are not here any more"
    desk.incoming.keep(content(image), image.SOPInstanceUID)
    Gatherer(0, ROUTES, desk.incoming, desk.queue).gather()
    assert desk.work().state == "answered"
