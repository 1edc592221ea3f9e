"""The log: one JSON object a line, and nothing that a library or an exception quotes."""

import json
import logging
import threading

import pytest
from pacs_studies import NAME

from MonaiSKD.pacs.log import log, quieten


@pytest.fixture
def lines(caplog):
    """What was logged, line by line."""
    caplog.set_level("INFO", "MonaiSKD.pacs")
    return lambda: [json.loads(record.message) for record in caplog.records]


def test_a_line_names_its_event_and_from_warnings_on_its_level(lines):
    log("answered", study="4c06994a98f7", seconds=0.5)
    log("object refused", logging.WARNING, status="A700")
    first, second = lines()
    assert first.pop("time") <= second.pop("time")
    assert first == {"event": "answered", "study": "4c06994a98f7", "seconds": 0.5}
    assert second == {"event": "object refused", "status": "A700", "level": "warning"}


def test_a_thread_that_ends_by_a_defect_is_logged_without_what_it_quotes(lines, monkeypatch, capfd):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back afterwards
    quieten()

    def fail():
        raise ValueError(NAME)

    failing = threading.Thread(target=fail, name="listener")
    failing.start()
    failing.join()
    (line,) = lines()
    assert (line["event"], line["thread"], line["reason"]) == ("internal error", "listener", "ValueError")
    assert NAME not in capfd.readouterr().err


@pytest.mark.parametrize("library", ["pynetdicom.acse", "urllib3.connectionpool", "pydicom", "highdicom.base"])
def test_libraries_are_not_heard(library, caplog, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    quieten()
    with caplog.at_level("DEBUG"):
        logging.getLogger(library).critical(NAME)
    assert NAME not in caplog.text
