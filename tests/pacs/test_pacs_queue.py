"""The queue: one row per study and model, through every state, across crashes and clocks."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.command import pacs
from MonaiSKD.pacs.queue import OPEN, Queue, key_of
from MonaiSKD.pacs.routing import SeriesFacts

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
CXR = {"chest_xray": [SeriesFacts("1.2.1", "DX", images=2)]}


@pytest.fixture
def queue(tmp_path):
    queue = Queue(tmp_path / "queue.sqlite", lambda: NOON)
    yield queue
    queue.close()


def states(queue):
    return {row.key: row.state for row in queue.rows()}


def test_a_study_is_received_once(queue):
    key = key_of("1.2", "chest_xray")
    assert queue.seen("1.2") is None
    assert queue.offer("1.2", 2, CXR, "") == {key: "received"}
    assert queue.offer("1.2", 2, CXR, "") == {}
    assert queue.seen("1.2") == 2
    (row,) = queue.rows()
    assert (row.study, row.model, row.state, row.series, row.images) == ("1.2", "chest_xray", "received", ("1.2.1",), 2)
    assert row.received == row.changed == "2026-01-02T12:00:00+00:00"


def test_what_fails_on_its_way_leaves_nothing_and_hinders_nobody(queue):
    with pytest.raises(Exception, match=r"type .* is not supported"):
        queue.offer("1.2", object(), CXR, "")  # noted last
    assert queue.rows() == []
    queue.offer("1.2", 2, CXR, "")
    assert [row.study for row in queue.rows()] == ["1.2"]


def test_an_answer_is_for_good(queue):
    (key,) = queue.offer("1.2", 2, CXR, "")
    queue.working(key)
    queue.answered(key, "normal, 0.9", "2.25.1")
    queue.unanswerable(key, "damaged", "late", "")
    queue.retrying(key, "late", "", 3)
    assert queue.working(key) is None
    assert queue.offer("1.2", 9, {"chest_xray": [SeriesFacts("1.2.1", "DX", images=8)]}, "") == {}
    assert not queue.again(key)
    row = queue.row(key)
    assert (row.state, row.answer, row.report, row.reason) == ("answered", "normal, 0.9", "2.25.1", "")


def test_unanswerable_ones_come_back_with_other_images_or_when_told(queue):
    (key,) = queue.offer("1.2", 2, CXR, "")
    queue.unanswerable(key, "damaged", "it is cut off", "Send it again")
    assert queue.offer("1.2", 3, CXR, "") == {}  # another series has grown
    assert queue.offer("1.2", 3, CXR, "", anew=True) == {key: "received"}  # as many images, which came again
    queue.unanswerable(key, "damaged", "it is cut off", "Send it again")
    other = {"chest_xray": [SeriesFacts("1.2.2", "DX", images=2)]}
    assert queue.offer("1.2", 3, other, "") == {key: "received"}
    queue.unanswerable(key, "damaged", "it is cut off", "Send it again")
    more = {"chest_xray": [SeriesFacts("1.2.1", "DX", images=3)]}
    assert queue.offer("1.2", 4, more, "") == {key: "received"}
    assert (queue.row(key).state, queue.row(key).images, queue.row(key).reason) == ("received", 3, "")
    queue.unanswerable(key, "damaged", "it is cut off", "Send it again")
    assert queue.again(key)
    assert queue.row(key).state == "received"
    assert not queue.again("unknown")


def test_a_study_without_a_rule_is_listed_until_a_rule_fits(queue):
    (none,) = queue.offer("1.2", 1, {}, "no rule fits its series (US)")
    assert (queue.row(none).state, queue.row(none).reason) == ("unanswerable", "no rule fits its series (US)")
    assert queue.offer("1.2", 2, {}, "no rule fits its series (US)") == {}
    assert not queue.again(none)
    (key,) = queue.offer("1.2", 3, CXR, "")
    assert states(queue) == {key: "received"}
    # Were the series gone from the PACS, the study would not become one without a rule.
    assert queue.offer("1.2", 1, {}, "no rule fits its series (US)") == {}
    assert states(queue) == {key: "received"}


def test_the_longest_waiting_comes_first_whatever_the_clock_says(tmp_path):
    times = iter([NOON, NOON, NOON - timedelta(days=400), NOON - timedelta(days=400), *[NOON + timedelta(9)] * 9])
    queue = Queue(tmp_path / "queue.sqlite", lambda: next(times))
    for study in ("1.1", "1.2", "1.3"):
        queue.offer(study, 1, CXR, "")
    assert [row.study for row in queue.rows(OPEN)] == ["1.1", "1.2", "1.3"]
    queue.retrying(key_of("1.1", "chest_xray"), "PACS down", "Wait", 0)
    assert [row.study for row in queue.rows(OPEN)] == ["1.2", "1.3", "1.1"]
    assert queue.waiting() == [(key_of(study, "chest_xray"), study) for study in ("1.2", "1.3", "1.1")]
    assert [row.study for row in queue.rows(OPEN, last=2)] == ["1.1", "1.3"]
    assert queue.counts() == {"received": 2, "working": 0, "retrying": 1, "answered": 0, "unanswerable": 0}


def test_another_process_reads_while_one_writes_and_cannot_write(queue, tmp_path):
    queue.offer("1.2", 2, CXR, "")
    reader = Queue(tmp_path / "queue.sqlite", lambda: NOON, read_only=True)
    queue.offer("1.3", 2, CXR, "")
    assert len(reader.rows()) == 2
    with pytest.raises(Exception, match="readonly"):
        reader.working(key_of("1.2", "chest_xray"))
    reader.close()


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(SKDError, match="cannot be opened"):
        Queue(path, lambda: NOON)
    with pytest.raises(SKDError, match="cannot be opened"):
        Queue(tmp_path / "none.sqlite", lambda: NOON, read_only=True)


def test_a_damaged_queue_is_said_to_be_one(queue, tmp_path):
    pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")
    for number in range(200):
        queue.offer(f"1.2.{number}", 2, CXR, "")
    queue.close()
    path = tmp_path / "queue.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(range(256)) * ((len(content) - 4096) // 256))
    (tmp_path / "pacs.toml").write_text('data = "."\n')
    for action in ("list", "retry"):
        with pytest.raises(SKDError, match=r"queue.sqlite: cannot be used \(database disk image is malformed\)"):
            pacs(action, tmp_path / "pacs.toml")


def test_a_queue_of_another_version_is_refused(queue, tmp_path):
    queue._base.execute("PRAGMA user_version = 9")
    with pytest.raises(SKDError, match="version 9, not 1"):
        Queue(tmp_path / "queue.sqlite", lambda: NOON)


ENDLESS = """
import sys
from datetime import datetime
from pathlib import Path
from MonaiSKD.pacs.queue import Queue
from MonaiSKD.pacs.routing import SeriesFacts
queue = Queue(Path(sys.argv[1]), datetime.now)
number = 0
while True:
    number += 1
    keys = queue.offer(f"1.{number}", 1, {model: [SeriesFacts("1.2.1", "DX")] for model in ("a", "b")}, "")
    for key in keys:
        queue.working(key)
        queue.answered(key, "x", "2.25.1")
    print(number, flush=True)
"""


def test_what_was_said_to_be_written_survives_a_kill_and_nothing_is_half(tmp_path):
    path = tmp_path / "queue.sqlite"
    for _ in range(3):
        path.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, env=environment)
        said = [int(child.stdout.readline()) for _ in range(20)][-1]
        child.send_signal(signal.SIGKILL)
        said = max([said, *map(int, child.stdout.read().split())])
        child.wait()
        queue = Queue(path, lambda: NOON)
        rows = queue.rows()
        assert sum(row.state == "answered" for row in rows) >= 2 * said
        assert len(rows) % 2 == 0  # both models of a study, or none
        assert sum(row.state != "answered" for row in rows) <= 2
        queue.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["offer", "working", "retrying", "unanswerable", "answered", "again"]), max_size=12))
def test_any_order_of_events_leaves_one_row_that_is_never_unanswered(tmp_path_factory, events):
    path = tmp_path_factory.mktemp("queue") / "queue.sqlite"
    queue = Queue(path, lambda: NOON)
    key, answered = key_of("1.2", "chest_xray"), False
    for event in events:
        known = queue.row(key) is not None
        if event == "offer":
            queue.offer("1.2", 1, CXR, "")
        else:
            more = {"retrying": ("r", "m", 1), "unanswerable": ("damaged", "r", "m"), "answered": ("a", "u")}
            getattr(queue, event)(key, *more.get(event, ()))
        answered = answered or (known and event == "answered")
        rows = queue.rows()
        assert len(rows) <= 1
        assert not answered or rows[0].state == "answered"
    queue.close()
