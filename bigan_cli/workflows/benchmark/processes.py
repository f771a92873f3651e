"""A pool of spawned processes, each of which runs one function and ends."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bigan_cli.workflows.benchmark.worker import SIGNALS, Reply, serve

# Seconds between two checks whether to stop.
_POLL = 0.2
# Seconds that a process has to end after it has sent its reply.
_SHUTDOWN = 30.0


@dataclass(frozen=True)
class Task:
    """A function to run in a separate process.

    Attributes:
        name: Identifies the task.
        function: A function of a module. Called with *arguments* and, as the last argument, the
            :class:`~bigan_cli.workflows.benchmark.worker.Worker`.
        arguments: Can be pickled, as can the result.
        log: The file to which the process appends its log records and its output.
    """

    name: str
    function: Callable[..., object]
    arguments: tuple[object, ...]
    log: Path


@dataclass(frozen=True)
class Outcome:
    """How a task ended; see :class:`Reply`."""

    task: Task
    reply: Reply


class ProcessPool:
    """Runs tasks in spawned processes, several at a time; all can be saved and stopped.

    A process that crashes fails its own task only. For use from one thread, as a context
    manager: at its end no process is left. After an exception the processes are stopped and
    waited for, after a KeyboardInterrupt they are killed.

    Args:
        jobs: How many tasks run at a time; each gets its share of the cores.
    """

    def __init__(self, jobs: int) -> None:
        self.threads = threads_per_job(jobs)
        self._jobs = jobs
        self._queue: deque[Task] = deque()
        self._running: dict[Connection, tuple[Task, SpawnProcess]] = {}
        self._stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and issubclass(kind, Exception):
                self._stop()
                for _, process in self._running.values():
                    process.join()
        finally:
            for connection, (_, process) in self._running.items():
                process.kill()
                process.join()
                connection.close()
            self._running.clear()

    def submit(self, task: Task, *, first: bool = False) -> None:
        """Queue *task*; before all others if *first*."""
        if first:
            self._queue.appendleft(task)
        else:
            self._queue.append(task)

    def outcomes(self, should_stop: Callable[[], bool]) -> Iterator[Outcome]:
        """Run all tasks, and yield each as it ends; more may be submitted meanwhile.

        Args:
            should_stop: Asked several times a second. Once it is True, no task is started any
                more, and the running ones are asked to save and stop.
        """
        while self._queue or self._running:
            if not self._stopping and should_stop():
                self._stop()
            if self._stopping:
                self._queue.clear()
            while self._queue and len(self._running) < self._jobs:
                task = self._queue.popleft()
                try:
                    self._start(task)
                except OSError as error:  # no memory or process number left
                    yield Outcome(task, Reply(error=f"cannot start a process: {error.strerror}"))
            for ended in wait(list(self._running), _POLL):
                assert isinstance(ended, Connection)  # noqa: S101  nothing else was waited for
                yield self._finish(ended)

    def _start(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        task.log.parent.mkdir(parents=True, exist_ok=True)
        payload = pickle.dumps((task.function, task.arguments))
        connection, child = context.Pipe()
        process = context.Process(
            target=serve, args=(payload, child, task.log, self.threads), name=task.name
        )
        try:
            with child, _signals_blocked(), _without_current_folder():
                process.start()
        except OSError:
            connection.close()
            raise
        self._running[connection] = (task, process)

    def _stop(self) -> None:
        self._stopping = True
        for connection in self._running:
            with suppress(OSError):  # the process has just ended
                connection.send("stop")

    def _finish(self, connection: Connection) -> Outcome:
        """Return the outcome of the task whose process has replied or died."""
        task, process = self._running[connection]
        reply: Reply | None
        try:
            reply = connection.recv()
        except (EOFError, OSError):
            reply = None
        process.join(_SHUTDOWN)
        if process.is_alive():
            process.kill()
            process.join()
        del self._running[connection]
        connection.close()
        if reply is None and self._stopping:
            reply = Reply(stopped=True)
        elif reply is None:
            reply = Reply(error=_reason(process.exitcode or 0))
        elif reply.stopped and not self._stopping:
            reply = Reply(error="stopped by a signal to this run's process; its work is saved")
        return Outcome(task, reply)


def threads_per_job(jobs: int) -> int:
    """Return the number of CPU threads of each of *jobs* processes.

    The usable cores are divided; ``OMP_NUM_THREADS`` may make them fewer.
    """
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if limit.isdecimal() and int(limit):
        usable = min(usable, int(limit))
    return max(1, usable // jobs)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the stopping signals in this thread, and so in a process that it starts.

    The child unblocks them once it has its own handlers; until then Ctrl-C would end it with a
    traceback.
    """
    mask: Any = getattr(signal, "pthread_sigmask", None)  # not on Windows
    if mask is None:
        yield
        return
    before = mask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


@contextmanager
def _without_current_folder() -> Iterator[None]:
    """Keep a process that is started within from importing a ``signal.py`` of the current folder.

    Its interpreter starts with ``-c``, which would put that folder before the standard library.
    """
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _reason(exit_code: int) -> str:
    if exit_code >= 0:
        return f"the process ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    # The kernel kills a process with SIGKILL when memory runs out.
    advice = "; out of memory?" if name == "SIGKILL" else ""
    return f"the process was ended by {name}{advice}"
