"""Everything together: opened, run until a stop, closed in order."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.clock import Backoff, Clock, Rate, SystemClock
from MonaiSKD.pacs.dicomweb import Client
from MonaiSKD.pacs.incoming import Incoming
from MonaiSKD.pacs.intake import Gatherer, Poller
from MonaiSKD.pacs.listener import Listener
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.page import Status
from MonaiSKD.pacs.queue import OPEN, Queue, Row
from MonaiSKD.pacs.sender import Sender, StoreSender, StowSender
from MonaiSKD.pacs.settings import Settings
from MonaiSKD.pacs.trouble import Later, disk_trouble
from MonaiSKD.pacs.web import WebServer
from MonaiSKD.pacs.worker import Worker
from MonaiSKD.runtime import Classifier

QUEUE_NAME = "queue.sqlite"
_IDLE = 0.2  # seconds between looks at an empty queue


class Service:
    """The service of one configuration.

    Args:
        settings: the configuration.
        clock: what measures time; the computer's own by default.

    Raises:
        SKDError: a model is absent, the data folder cannot be used or is in use, an address cannot be listened on.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings, self.clock = settings, clock or SystemClock()
        self.stop = threading.Event()
        self._busy: set[str] = set()
        self._choosing = threading.Lock()
        self._closing = ExitStack()
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise

    def _open(self) -> None:
        settings, clock = self.settings, self.clock
        # For each worker its own: a classifier has one volume in memory at a time, and the others would wait for it.
        models = {rule.model: rule.file or rule.model for rule in settings.routes}
        self._classifiers = [
            {name: Classifier(model, threads=1) for name, model in models.items()} for _ in range(settings.workers)
        ]
        _check_different(self._classifiers[0])
        try:
            settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._closing.callback(_locked(settings.data))
            self.incoming = Incoming(settings.data / "incoming", settings.limits.free_bytes, clock)
        except OSError as error:
            raise SKDError(
                settings.data, f"cannot be used ({error.strerror})", "Check it, or choose another"
            ) from error
        self.queue = Queue(settings.data / QUEUE_NAME, clock.now)
        self._closing.callback(self.queue.close)
        self.status = Status(self.queue, clock, settings.page.identify if settings.page is not None else False)
        client = None
        if settings.dicomweb is not None:
            rate = Rate(settings.dicomweb.per_second, clock)
            client = Client(settings.dicomweb, settings.limits, rate, self.stop)
        self._poller = None
        if settings.poll is not None and client is not None:
            self._poller = Poller(settings.poll, settings.routes, client, self.queue, clock)
        quiet = settings.listen.quiet if settings.listen is not None else 0.0
        self._gatherer = Gatherer(quiet, settings.routes, self.incoming, self.queue)
        sender: Sender
        if settings.answer.peer is not None:
            sender = StoreSender(settings.answer.peer)
        else:
            assert client is not None  # the configuration was checked
            sender = StowSender(client)
        self._worker = Worker(
            queue=self.queue,
            routes=settings.routes,
            incoming=self.incoming,
            data=settings.data,
            client=client,
            sender=sender,
            limits=settings.limits,
            heat_maps=settings.answer.heat_maps,
            backoff=Backoff(*settings.retry),
            clock=clock,
        )
        self._worker.sweep()

    def run(self) -> None:
        """Run until :attr:`stop` is set; then finish what is under way, and close everything."""
        with self._closing:
            self._serve()
            threads = [self._thread("answering", partial(self._answer_all, own)) for own in self._classifiers]
            threads.append(self._thread("gathering", self._repeating(self._gatherer.gather, 1.0)))
            if self._poller is not None and self.settings.poll is not None:
                threads.append(self._thread("polling", self._repeating(self._poller.poll, self.settings.poll.every)))
            log("started", version=_version(), open=len(self.queue.waiting()))
            self.stop.wait()
            log("stopping")
            for thread in threads:
                thread.join()
        log("stopped")

    def run_once(self) -> bool:
        """Take in what there is now, try each open study once, and close everything. For cron.

        Returns:
            whether nothing is left to be tried again.
        """
        with self._closing:
            whole = self._succeeds(self._poll_twice)
            if not self.stop.wait(self.settings.listen.quiet if self.settings.listen is not None else 0):
                whole &= self._succeeds(self._gatherer.gather)
            for row in self.queue.rows(OPEN):
                if self.stop.is_set():
                    break
                self._worker.work(row, self._classifiers[0])
            whole &= self._succeeds(self._gatherer.gather)
            return whole and not self.queue.waiting()

    def _poll_twice(self) -> None:
        """What has not grown between two looks is complete."""
        if self._poller is None or self.settings.poll is None:
            return
        if self._poller.poll() and not self.stop.wait(self.settings.poll.quiet):
            self._poller.poll()

    def _succeeds(self, function: Callable[[], object]) -> bool:
        try:
            function()
        except Exception as error:
            self.status.trouble(function.__name__.strip("_"), _problem(error))
            return False
        return True

    def _serve(self) -> None:
        """Open what others connect to."""
        settings = self.settings
        if settings.listen is not None:
            rate = Rate(settings.listen.per_second, self.clock)
            listener = Listener(settings.listen, settings.limits, self.incoming, rate, self.stop)
            self._closing.callback(listener.close)
            log("listening", port=listener.port)
        if settings.page is not None:
            web = WebServer(settings.page, self.status, Rate(settings.page.per_second, self.clock))
            self._closing.callback(web.close)
            log("status page", port=web.port)

    def _thread(self, name: str, function: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=function, name=name)
        thread.start()
        return thread

    def _answer_all(self, classifiers: Mapping[str, Classifier]) -> None:
        while not self.stop.is_set():
            with self._next() as row:
                if row is not None:
                    self._worker.work(row, classifiers)
            if row is None:
                self.stop.wait(_IDLE)

    @contextmanager
    def _next(self) -> Iterator[Row | None]:
        """The row that has waited longest, for this thread alone."""
        with self._choosing:
            row = None
            try:
                keys = (key for key, _ in self.queue.waiting())
                key = next((key for key in keys if key not in self._busy and self._worker.is_due(key)), None)
                row = self.queue.row(key) if key is not None else None
                self.status.well("queue")
            except sqlite3.Error as error:
                self.status.trouble("queue", _problem(error))
            if row is not None:
                self._busy.add(row.key)
        try:
            yield row
        finally:
            if row is not None:
                # Not while another thread chooses: its list may be older than what became of this row.
                with self._choosing:
                    self._busy.discard(row.key)

    def _repeating(self, function: Callable[[], Any], seconds: float) -> Callable[[], None]:
        """A loop that outlives every failure, and waits longer the more often it fails."""
        backoff = Backoff(seconds, max(seconds, self.settings.retry[1]))
        name = function.__name__

        def loop() -> None:
            failures = 0
            while not self.stop.is_set():
                try:
                    function()
                    failures = 0
                    self.status.well(name)
                except Exception as error:
                    failures += 1
                    self.status.trouble(name, _problem(error))
                self.stop.wait(backoff.delay(failures) if failures else seconds)

        return loop


def _check_different(classifiers: Mapping[str, Classifier]) -> None:
    """Refuse one model under two names: its reports on a study would have one UID, and only one would be sent."""
    names: dict[str, str] = {}
    for name, classifier in classifiers.items():
        other = names.setdefault(classifier.model.sha256, name)
        if other != name:
            raise SKDError(name, f"is the same model as {other}", "Write one of them in each [[route]] of it", "model")


def _problem(error: Exception) -> Later:
    if isinstance(error, Later):
        return error
    if isinstance(error, sqlite3.Error):
        return Later(f"the queue cannot be used ({type(error).__name__})", "Check the disk of the data folder")
    if isinstance(error, OSError):
        return disk_trouble(error)
    return Later(f"internal error ({type(error).__name__})", "Report it")


def stop_on_signals(service: Service) -> None:
    """Let SIGTERM and SIGINT stop a service in order."""

    def stop(number: int, frame: object) -> None:
        service.stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _locked(folder: Path) -> Callable[[], None]:
    """Take the folder for this process alone; the lock ends with the process, however that ends."""
    handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        cause = "is used by another running service"
        raise SKDError(folder, cause, "Stop that one, or give this one another data folder") from None
    return lambda: os.close(handle)


def _version() -> str:
    from MonaiSKD import __version__

    return __version__
