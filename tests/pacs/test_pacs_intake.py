"""What becomes a row of the queue, and when, with a clock that tests move."""

from datetime import timedelta

import pytest

pytest.importorskip("requests", reason="the extra `pacs` is not installed")

from pacs_clock import Clock
from pacs_studies import content, grey, radiograph

from MonaiSKD.pacs.incoming import Incoming, is_uid
from MonaiSKD.pacs.intake import Gatherer, Poller
from MonaiSKD.pacs.queue import Queue, key_of
from MonaiSKD.pacs.routing import Route, SeriesFacts
from MonaiSKD.pacs.settings import Poll
from MonaiSKD.pacs.trouble import Later

ROUTES = [Route("chest_xray", ("DX", "CR"))]


class Pacs:
    """The answers of a PACS, and what it was asked."""

    def __init__(self):
        self.found, self.asked, self.described, self.broken, self.counts = {}, [], 0, set(), True

    def studies(self, filters):
        self.asked.append(dict(filters))
        return list(self.found.items())

    def series(self, study):
        self.described += 1
        if study in self.broken:
            raise Later("HTTP status 500", "Look into the log", self.counts)
        return [SeriesFacts(f"{study}.1", "DX", images=self.found[study])]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(tmp_path, clock):
    queue = Queue(tmp_path / "queue.sqlite", clock.now)
    yield queue
    queue.close()


def test_a_study_is_taken_when_it_has_stopped_growing(queue, clock):
    pacs = Pacs()
    poller = Poller(Poll(quiet=60), ROUTES, pacs, queue, clock)
    pacs.found = {"1.2": 1}
    assert poller.poll() == 1
    clock.seconds += 59
    pacs.found = {"1.2": 2}
    poller.poll()
    clock.seconds += 59
    poller.poll()
    assert queue.rows() == []
    clock.seconds += 1
    assert poller.poll() == 0
    assert [row.images for row in queue.rows()] == [2]
    described = pacs.described
    poller.poll()
    assert pacs.described == described  # what is known costs no further request


def test_the_wall_clock_may_jump(queue, clock):
    pacs = Pacs()
    pacs.found = {"1.2": 1}
    poller = Poller(Poll(quiet=60), ROUTES, pacs, queue, clock)
    poller.poll()
    for jump in (timedelta(days=-4000), timedelta(days=9000)):
        clock.day += jump
        poller.poll()
    assert queue.rows() == []
    clock.seconds += 60
    poller.poll()
    assert len(queue.rows()) == 1


def test_what_is_asked(queue, clock):
    pacs = Pacs()
    Poller(Poll(query={"InstitutionName": "North"}), ROUTES, pacs, queue, clock).poll()
    dates = {"StudyDate": "20260228-20260302", "InstitutionName": "North"}
    assert pacs.asked == [{**dates, "ModalitiesInStudy": "DX"}, {**dates, "ModalitiesInStudy": "CR"}]
    pacs.asked.clear()
    Poller(Poll(days=0), ROUTES, pacs, queue, clock).poll()
    Poller(Poll(days=1, everything=True), ROUTES, pacs, queue, clock).poll()
    assert pacs.asked[:2] == [{"ModalitiesInStudy": "DX"}, {"ModalitiesInStudy": "CR"}]
    assert pacs.asked[2:] == [{"StudyDate": "20260301-20260302"}]


def test_a_study_whose_uid_is_none_is_listed_and_never_asked_about(queue, clock, caplog):
    pacs = Pacs()
    pacs.found = {"../../etc": 1}
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        Poller(Poll(quiet=0), ROUTES, pacs, queue, clock).poll()
    (row,) = queue.rows()
    assert (row.state, row.reason) == ("unanswerable", "its Study Instance UID is malformed")
    assert pacs.described == 0
    assert "etc" not in caplog.text


def test_sent_studies_wait_for_quiet_and_go_when_they_are_done(queue, clock, tmp_path):
    incoming = Incoming(tmp_path / "incoming", 0, clock)
    gatherer = Gatherer(60, ROUTES, incoming, queue)
    image = radiograph(grey(0.5))
    incoming.keep(content(image), image.SOPInstanceUID)
    clock.seconds += 59
    clock.day += timedelta(days=3)
    gatherer.gather()
    assert queue.rows() == []
    clock.seconds += 1
    gatherer.gather()
    (row,) = queue.rows()
    assert (row.study, row.series, row.state) == (image.StudyInstanceUID, (image.SeriesInstanceUID,), "received")
    assert [folder.name for folder in incoming.folders(row.study, row.series)] == [image.SeriesInstanceUID]
    gatherer.gather()
    assert incoming.count(row.study) == 1  # somebody still works on it
    queue.answered(row.key, "x", "2.25.1")
    gatherer.gather()
    assert list(incoming.folder.iterdir()) == []


def test_images_that_come_late_are_not_removed_unseen(queue, clock, tmp_path):
    incoming = Incoming(tmp_path / "incoming", 0, clock)
    gatherer = Gatherer(0, ROUTES, incoming, queue)
    first = radiograph(grey(0.5))
    incoming.keep(content(first), first.SOPInstanceUID)
    gatherer.gather()
    key = key_of(first.StudyInstanceUID, "chest_xray")
    queue.unanswerable(key, "damaged", "it is cut off", "Send it again")
    clock.seconds += 1
    late = radiograph(grey(0.5), study=first.StudyInstanceUID)
    incoming.keep(content(late), late.SOPInstanceUID)
    gatherer.gather()
    assert incoming.count(first.StudyInstanceUID) == 2
    gatherer.gather()
    assert queue.row(key).state == "received"  # with other images, it may be answered


def test_an_image_that_comes_while_its_study_is_being_removed_keeps_it(clock, tmp_path):
    incoming = Incoming(tmp_path / "incoming", 0, clock)
    image = radiograph(grey(0.5))
    incoming.keep(content(image), image.SOPInstanceUID)
    seen = incoming.now()
    clock.seconds += 1
    late = radiograph(grey(0.5), study=image.StudyInstanceUID)
    incoming.keep(content(late), late.SOPInstanceUID)
    incoming.remove(image.StudyInstanceUID, unless_newer_than=seen)
    assert incoming.count(image.StudyInstanceUID) == 2
    incoming.remove(image.StudyInstanceUID, unless_newer_than=incoming.now())
    assert incoming.count(image.StudyInstanceUID) == 0


def test_what_is_a_uid():
    assert all(map(is_uid, ("1.2.840", "0", "1." * 31 + "10")))
    assert not any(map(is_uid, ("", "1..2", ".1", "1.", "1.a", "../1", "1/2", "1.2\n", "١.٢", "1." * 32 + "1")))


def test_after_a_restart_what_was_sent_is_found_again(queue, clock, tmp_path):
    image = radiograph(grey(0.5))
    Incoming(tmp_path / "incoming", 0, clock).keep(content(image), image.SOPInstanceUID)
    again = Incoming(tmp_path / "incoming", 0, clock)
    assert again.complete(60) == []  # nobody knows how long ago it came
    clock.seconds += 60
    assert again.complete(60) == [image.StudyInstanceUID]


def test_what_has_ended_the_service_is_not_tried_for_ever(queue, clock, tmp_path):
    image = radiograph(grey(0.5))
    before = Incoming(tmp_path / "incoming", 0, clock)
    before.keep(content(image), image.SOPInstanceUID)
    clock.seconds += 60
    Gatherer(60, ROUTES, before, queue).gather()
    (row,) = queue.rows()
    queue.unanswerable(row.key, "error", "the service ended while it worked on it", "Look at its images")
    again = Incoming(tmp_path / "incoming", 0, clock)
    clock.seconds += 60
    Gatherer(60, ROUTES, again, queue).gather()
    assert queue.row(row.key).state == "unanswerable"


@pytest.mark.parametrize("counts", [True, False])  # HTTP status 500; a time that ran out, or status 504
def test_a_study_that_the_pacs_cannot_describe_hides_no_other(queue, clock, counts):
    pacs = Pacs()
    pacs.counts = counts
    pacs.found = {"1.2": 1, "1.3": 1}
    pacs.broken = {"1.2"}
    poller = Poller(Poll(quiet=0), ROUTES, pacs, queue, clock)
    poller.poll()
    assert {row.study: row.state for row in queue.rows()} == {"1.2": "unanswerable", "1.3": "received"}
    assert queue.rows(["unanswerable"])[0].reason == "its series cannot be listed: HTTP status 500"
    poller.poll()
    pacs.broken = set()
    poller.poll()  # it is looked at each time
    assert {row.study: row.state for row in queue.rows()} == {"1.2": "received", "1.3": "received"}


def test_a_pacs_that_fails_for_all_is_left_alone_and_no_study_keeps_the_others_for_ever(queue, clock):
    pacs = Pacs()
    pacs.found = dict.fromkeys(("1.1", "1.2", "1.3", "1.4", "1.5"), 1)
    pacs.broken, pacs.counts = set(pacs.found) - {"1.5"}, False
    poller = Poller(Poll(quiet=0), ROUTES, pacs, queue, clock)
    with pytest.raises(Later, match="500"):
        poller.poll()
    assert pacs.described == 3
    with pytest.raises(Later, match="500"):
        poller.poll()
    assert [row.study for row in queue.rows(["received"])] == ["1.5"]


def test_a_study_that_is_corrected_and_sent_again_is_looked_at_again(queue, clock, tmp_path, caplog):
    incoming = Incoming(tmp_path / "incoming", 0, clock)
    gatherer = Gatherer(0, ROUTES, incoming, queue)
    image = radiograph(grey(0.5), BodyPartExamined="HAND")
    key = key_of(image.StudyInstanceUID, "chest_xray")

    def send():
        clock.seconds += 1
        incoming.keep(content(image), image.SOPInstanceUID)
        gatherer.gather()

    send()
    queue.unanswerable(key, "wrong_body_part", "is of the body part HAND", "Give a chest radiograph")
    image.BodyPartExamined = "CHEST"
    send()  # the same UIDs, and as many
    assert queue.row(key).state == "received"
    gatherer.gather()
    assert incoming.count(image.StudyInstanceUID) == 1
    queue.answered(key, "x", "2.25.1")
    with caplog.at_level("INFO", "MonaiSKD.pacs"):
        send()
    assert f'"event": "ignored", "study": "{key}"' in caplog.text


def test_files_that_cannot_be_read_hide_no_study_and_no_image(queue, clock, tmp_path):
    incoming = Incoming(tmp_path / "incoming", 0, clock)
    image = radiograph(grey(0.5))
    incoming.keep(content(image), image.SOPInstanceUID)
    (incoming.folder / image.StudyInstanceUID / image.SeriesInstanceUID / "0.dcm").touch()
    empty = incoming.folder / "1.1" / "1.1.1" / "1.dcm"
    empty.parent.mkdir(parents=True)
    empty.touch()
    gatherer = Gatherer(0, ROUTES, incoming, queue)
    gatherer.gather()
    rows = {row.study: row for row in queue.rows()}
    assert (rows[image.StudyInstanceUID].state, rows[image.StudyInstanceUID].images) == ("received", 2)
    assert rows["1.1"].reason.startswith("its images cannot be read: cannot be decoded as DICOM")
    gatherer.gather()
    assert incoming.complete(0) == [image.StudyInstanceUID]


def test_a_series_that_comes_before_the_answer_is_in_it(queue, clock, tmp_path):
    incoming = Incoming(tmp_path / "incoming", 0, clock)
    gatherer = Gatherer(0, ROUTES, incoming, queue)
    first = radiograph(grey(0.5))
    late = radiograph(grey(0.5), study=first.StudyInstanceUID)
    for image in (first, late):
        incoming.keep(content(image), image.SOPInstanceUID)
        gatherer.gather()
        clock.seconds += 1
    (row,) = queue.rows()
    assert (set(row.series), row.images) == ({first.SeriesInstanceUID, late.SeriesInstanceUID}, 2)
    queue.offer(row.study, 1, {"chest_xray": [SeriesFacts("1.2.3", "DX")]}, "")  # somebody who has seen less
    assert queue.rows() == [row]
