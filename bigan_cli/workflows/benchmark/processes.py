"""The programs that a benchmark starts: beside each other, logged, and stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_PROGRAM = (sys.executable, "-m", "bigan_cli")


class Stopped(Exception):  # noqa: N818  no error: the user wanted it
    """The benchmark is being stopped."""


class ChildError(Exception):
    """A program ended with an error; the message says which, in one line."""


@dataclass(frozen=True)
class Finished:
    """What a program that ended well left.

    Attributes:
        output: Its standard output.
        peak_bytes: The most memory it had, where the system tells.
    """

    output: str
    peak_bytes: int | None


class Children:
    """Runs ``bigan`` commands, from several threads; all can be stopped at once.

    Args:
        jobs: How many are run at a time; each gets its share of the cores.
    """

    def __init__(self, jobs: int) -> None:
        self.threads = max(1, _cores() // jobs)
        self.stopping = False
        self._running: set[subprocess.Popen[str]] = set()
        # Reentrant: a second Ctrl-C may come while the first is being passed on.
        self._lock = threading.RLock()

    def run(self, words: Sequence[str], log: Path) -> Finished:
        """Run ``bigan`` with *words* to its end.

        Args:
            words: The command line.
            log: Gets its standard error, after what is there already.

        Raises:
            ChildError: It ended with another code than 0.
            Stopped: :meth:`stop` was called.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as told:
            told.write(f"$ bigan {' '.join(words)}\n")
            told.flush()
            before = told.tell()
            process = self._start(words, told.fileno())
            assert process.stdout is not None  # noqa: S101  a pipe was asked for
            with process.stdout as stream:
                output = stream.read()
            with self._lock:
                self._running.discard(process)  # from here on its number may be another's
            peak = _reap(process)
        if self.stopping:
            raise Stopped
        if process.returncode:
            raise ChildError(_reason(log, before, process.returncode))
        return Finished(output, peak)

    def _start(self, words: Sequence[str], errors: int) -> subprocess.Popen[str]:
        # Under the lock: what starts while all are being stopped would be missed.
        with self._lock:
            if self.stopping:
                raise Stopped
            process = subprocess.Popen(  # noqa: S603  our own program
                [*_PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                env={**os.environ, "OMP_NUM_THREADS": str(self.threads), "NO_COLOR": "1"},
                # Of its own, so that Ctrl-C reaches it once, through stop(), and not twice: a
                # training takes the second one for impatience.
                process_group=0,
            )
            self._running.add(process)
        return process

    def stop(self) -> None:
        """Let every program save its work and end; called again, end them at once."""
        with self._lock:
            again, self.stopping = self.stopping, True
            for process in self._running:
                _interrupt(process, at_once=again)


@contextmanager
def stopped_by_signals(children: Children) -> Iterator[None]:
    """Let SIGINT, SIGTERM and a lost terminal stop *children*; for the main thread."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        children.stop()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names]
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(process: subprocess.Popen[str], *, at_once: bool) -> None:
    if sys.platform == "win32":
        process.terminate()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL if at_once else signal.SIGINT)
    except (ProcessLookupError, PermissionError):  # it has just ended
        return


def _reap(process: subprocess.Popen[str]) -> int | None:
    """Wait for *process*, and return the most memory it had, in bytes, where that is known."""
    if sys.platform == "win32":
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reason(log: Path, start: int, code: int) -> str:
    """Return why a program failed: its own last word about it, else how it ended."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode("utf-8", "replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1]
    if code < 0:
        return f"ended by signal {-code} ({signal.Signals(-code).name}); out of memory?"
    return f"ended with exit code {code}"


def _cores() -> int:
    """Return how many cores may be used; ``OMP_NUM_THREADS`` may make them fewer."""
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(usable, int(wanted)) if wanted.isdecimal() and int(wanted) else usable
