"""Work beside the application's event loop: functions in a thread, commands of MonaiSKD in a process of their own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import qt

from SKDClassifierLib.jobs import Processes
from SKDClassifierLib.jobs.JobOutput import JobEnd, JobOutput
from SKDClassifierLib.Protocols import Progress
from SKDClassifierLib.scene.Logic import Cancelled

# Slicer's event loop keeps the lock of its Python: a thread runs while Python on the main thread waits for it, and
# hardly otherwise (https://discourse.slicer.org/t/32299). So each tick waits a little, too short to be noticed.
_TICK_MS, _WAIT_SECONDS = 10, 0.02
# A job's lines are handled for so long at a time, and then the application has its turn.
_PUMP_MS, _PUMP_SECONDS = 5, 0.01
# What runs stays alive, whoever else forgets it.
_running: set[Any] = set()


class BackgroundTask:
    """A function in a thread of this process; its callbacks come on the main thread.

    Exactly one of the last three is called, once; none after :meth:`abandon`. What the function gives or raises after
    :meth:`cancel` counts as cancelled.

    Args:
        function: gets a `progress(done, total)`, which raises :class:`Cancelled` once the task is to end. It touches
            neither Qt nor MRML.
        on_progress: the latest progress, at most once a tick of about 30 ms.
        on_done: what the function gave.
        on_error: what the function raised.
        on_cancelled: it ended because it was asked to.

    Attributes:
        running: from :meth:`start` until one of the last three is called.

    Example:
        task = BackgroundTask(logic.task(node, "brain_mri"), bar_moves, logic.show, show_error, bar_hides)
        task.start()
    """

    def __init__(
        self,
        function: Callable[[Progress], Any],
        on_progress: Callable[[int, int], None],
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        on_cancelled: Callable[[], None],
    ) -> None:
        self.running = False
        self._function = function
        self._on_progress, self._on_done, self._on_error = on_progress, on_done, on_error
        self._on_cancelled = on_cancelled
        self._cancelled, self._abandoned = threading.Event(), False
        self._latest: tuple[int, int] | None = None
        self._outcome: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._timer = qt.QTimer()
        self._timer.setInterval(_TICK_MS)

    def start(self) -> None:
        """Begin. A task starts once."""
        self.running = True
        _running.add(self)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()
        threading.Thread(target=self._run, name="MonaiSKD task", daemon=True).start()

    def cancel(self) -> None:
        """Ask it to end; it does at its next progress."""
        self._cancelled.set()

    def abandon(self) -> None:
        """Cancel, and call nothing any more."""
        self._abandoned = True
        self.cancel()
        self._end()

    def _run(self) -> None:
        try:
            self._outcome.put((self._function(self._progress), None))
        except BaseException as error:  # nothing else would tell of it: this is a thread
            self._outcome.put((None, error))

    def _progress(self, done: int, total: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        self._latest = (done, total)

    def _tick(self) -> None:
        try:
            result, error = self._outcome.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            latest, self._latest = self._latest, None
            if latest is not None and not self._cancelled.is_set():
                self._on_progress(*latest)
            return
        self._end()
        if self._abandoned:
            return
        if self._cancelled.is_set() or isinstance(error, Cancelled):
            if error is not None and not isinstance(error, Cancelled):
                logging.info("SKDClassifier: a cancelled task failed meanwhile (%s)", type(error).__name__)
            self._on_cancelled()
        elif error is not None:
            self._on_error(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            if self._latest is not None:
                self._on_progress(*self._latest)
            self._on_done(result)

    def _end(self) -> None:
        if self.running:
            self.running = False
            _running.discard(self)
            self._timer.stop()
            self._timer.disconnect("timeout()", self._tick)


class ChildJob:
    """`python -m MonaiSKD …` in a process of its own; its callbacks come on the main thread.

    Many events at once are handled in slices, so that the application stays alive. When the application dies, the job
    ends by itself: it notices that its standard input is closed.

    Args:
        arguments: of the command line; with "--events".
        on_event: one event, see docs/events.md of the package.
        on_log: one line that it wrote for people.
        on_end: called once, after all else.
        grace: seconds that it has to end in order once it is asked to.
        command: the program and its first arguments; Slicer's Python and `-m MonaiSKD` where not given.

    Attributes:
        running: from :meth:`start` until `on_end` is called.

    Example:
        job = ChildJob(plan.arguments(), state.consume, log.append, finished)
        job.start()
    """

    def __init__(
        self,
        arguments: list[str],
        on_event: Callable[[dict], None],
        on_log: Callable[[str], None],
        on_end: Callable[[JobEnd], None],
        grace: float = 20.0,
        command: list[str] | None = None,
    ) -> None:
        self.running = False
        self._arguments, self._command = arguments, command
        self._on_event, self._on_log, self._on_end = on_event, on_log, on_end
        self._output = JobOutput()
        self._stopped = self._killed = self._abandoned = self._pumping = False
        self._finished: tuple[int, bool, str] | None = None
        self._group: int | None = None
        self._process = qt.QProcess()
        self._pump_timer, self._grace_timer = qt.QTimer(), qt.QTimer()
        self._pump_timer.setInterval(_PUMP_MS)
        self._grace_timer.setSingleShot(True)
        self._grace_timer.setInterval(int(grace * 1000))
        self._connections = (
            (self._process, "readyReadStandardOutput()", self._read),
            (self._process, "readyReadStandardError()", self._read),
            (self._process, "finished(int,QProcess::ExitStatus)", self._on_finished),
            (self._process, "errorOccurred(QProcess::ProcessError)", self._on_process_error),
            (self._pump_timer, "timeout()", self._pump),
            (self._grace_timer, "timeout()", self._kill),
        )

    def start(self) -> None:
        """Begin. A job starts once.

        Raises:
            SKDError: Slicer's Python is not found.
        """
        program, *first = self._command or [Processes.interpreter(), "-m", "MonaiSKD"]
        environment = qt.QProcessEnvironment()
        for name, value in Processes.environment().items():
            environment.insert(name, value)
        self._process.setProcessEnvironment(environment)
        self.running = True
        _running.add(self)
        for sender, what, slot in self._connections:
            sender.connect(what, slot)
        self._process.start(program, [*first, *self._arguments])

    def stop(self) -> None:
        """Ask it to end in order; after the grace time its process tree is killed. `on_end` follows."""
        if self.running and not self._stopped:
            self._stopped = True
            self._process.write(b"stop\n")
            self._grace_timer.start()

    def abandon(self) -> None:
        """Stop it, and call nothing any more."""
        self._abandoned = True
        if self.running:
            self.stop()
            self._process.waitForBytesWritten(50)  # the application may end before its event loop runs again
            self._process.closeWriteChannel()

    def _read(self) -> None:
        self._output.feed(_bytes(self._process.readAllStandardOutput()), _bytes(self._process.readAllStandardError()))
        if self._output.waiting:
            self._wake()

    def _on_finished(self, code: int, status: Any) -> None:
        self._read()
        self._output.close()
        self._finished = (code, status == qt.QProcess.CrashExit, "")
        self._wake()

    def _on_process_error(self, error: Any) -> None:
        if error == qt.QProcess.FailedToStart:
            # Not through the event loop of this very call: who starts a job does not expect its end.
            self._finished = (-1, False, self._process.errorString())
            self._wake()

    def _wake(self) -> None:
        if not self._pumping:  # a timer that is started over and over never fires
            self._pumping = True
            self._pump_timer.start()

    def _pump(self) -> None:
        """Hand on lines for a moment; the end once there are no more."""
        until = time.monotonic() + _PUMP_SECONDS
        while time.monotonic() < until:
            item = self._output.next()
            if item is None:
                self._pumping = False
                self._pump_timer.stop()
                if self._finished is not None:
                    self._end()
                return
            if isinstance(item, dict):
                if item.get("event") == "start":
                    self._group = Processes.own_group(item.get("pid"))
                if not self._abandoned:
                    self._on_event(item)
            elif not self._abandoned:
                self._on_log(item)

    def _kill(self) -> None:
        """The whole tree, at once."""
        self._killed = True
        self._process.closeWriteChannel()
        Processes.kill_tree(self._process.processId(), self._group)
        self._process.kill()

    def _end(self) -> None:
        if not self.running:
            return
        Processes.kill_group(self._group)  # workers that a dead job left behind
        self.running = False
        _running.discard(self)
        for sender, what, slot in self._connections:
            sender.disconnect(what, slot)
        for timer in (self._pump_timer, self._grace_timer):
            timer.stop()
        code, crashed, failed = self._finished or (-1, False, "")
        self._process.deleteLater()
        if not self._abandoned:
            self._on_end(self._output.end(code, crashed, stopped=self._stopped, killed=self._killed, failed=failed))


def _bytes(array: Any) -> bytes:
    """Of a QByteArray; PythonQt gives None for an empty one."""
    return bytes(array.data() or b"")
