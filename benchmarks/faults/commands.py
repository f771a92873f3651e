"""Command lines in forked processes, in this one, or in new interpreters, and how they ended."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; forks inherit it

SCREEN = 4000  # characters of a message
_PATIENCE = float(os.environ.get("FAULTS_PATIENCE", "1"))  # more on a busy machine
_MEMORY = 6_000_000_000  # bytes of address space that a case may use beyond the warmed parent's


def patient(seconds: float) -> float:
    """Return the time after which a case of *seconds* counts as hung."""
    return seconds * _PATIENCE


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code; negative for a signal, None if it did not end in time.
        out: Standard output.
        err: Standard error.
        seconds: How long it took.
    """

    code: int | None
    out: str
    err: str
    seconds: float

    def problem(self, allowed: Sequence[int] = (0, 1, 2, 3, 4)) -> str:
        """Return what no command may do, or an empty string."""
        if self.code is None:
            return "hang"
        internal = "internal error" in self.err or "defect of bigan" in self.err
        found = {
            "internal error": internal,
            "traceback": "Traceback (most recent call last)" in self.err,
            f"ended by signal {-self.code}": self.code < 0,
            f"exit code {self.code}": self.code not in allowed,
            "more than a screen": len(self.err) > SCREEN,
            "failed without a message": self.code in (1, 2) and "error:" not in self.err,
        }
        return next((what for what, holds in found.items() if holds), "")


def warm_up() -> None:
    """Import what most commands need, so that forked processes need not."""
    import torchvision  # noqa: F401

    import bigan_cli.cli.main
    import bigan_cli.workflows.animate
    import bigan_cli.workflows.evaluate
    import bigan_cli.workflows.reconstruct
    import bigan_cli.workflows.score
    import bigan_cli.workflows.train  # noqa: F401


def bigan(
    *words: object,
    timeout: float = 60,
    before: Callable[[], object] | None = None,
    kill_after: float | None = None,
    stdin: bytes = b"",
    limit_memory: bool = True,
) -> Ended:
    """Run a command line in a forked process.

    Args:
        words: The command line.
        timeout: Seconds after which it counts as hung, and is killed.
        before: Called in the process before the command.
        kill_after: Seconds after which it is killed with SIGKILL.
        stdin: What is on standard input.
        limit_memory: Whether to limit the address space.
    """
    from bigan_cli.cli.main import main

    def run() -> int:
        if limit_memory:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, size + _MEMORY))
        if before is not None:
            before()
        return main([str(word) for word in words])

    return forked(run, timeout=timeout, kill_after=kill_after, stdin=stdin)


def here(*words: object, timeout: int = 60) -> Ended:
    """Run a command line in this process, which is faster; it may change nothing outside."""
    from bigan_cli.cli.main import main

    def too_late(*_: object) -> None:
        raise _TooLateError

    out, err, started = io.StringIO(), io.StringIO(), time.monotonic()
    code: int | None = None
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(int(patient(timeout)))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in words])
    except _TooLateError:
        pass
    except BaseException:  # noqa: BLE001  what main lets through is a fault
        code = 70
        err.write(traceback.format_exc())
    finally:
        signal.alarm(0)
    return Ended(code, out.getvalue(), err.getvalue(), time.monotonic() - started)


class _TooLateError(BaseException):
    """The time of a case is over; no Exception, which would be handled as one."""


def forked(
    function: Callable[[], int],
    *,
    timeout: float = 60,
    kill_after: float | None = None,
    stdin: bytes = b"",
) -> Ended:
    """Run *function* in a forked process and return how it ended; see :func:`bigan`."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if not pid:
                _child(function, (source.fileno(), out.fileno(), err.fileno()))
        code = _wait(pid, started, patient(timeout), kill_after)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return Ended(code, *texts, time.monotonic() - started)


def _child(function: Callable[[], int], streams: Sequence[int]) -> None:
    """Run *function* with the streams as standard ones, and end this process."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    code = 70
    try:
        code = function()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  what main lets through is a fault
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, started: float, timeout: float, kill_after: float | None) -> int | None:
    killed = hung = False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return None if hung else os.waitstatus_to_exitcode(status)
        spent = time.monotonic() - started
        late = spent > timeout
        if (late or (kill_after is not None and spent > kill_after)) and not killed:
            killed, hung = True, late
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        time.sleep(0.002)


def fresh(*words: object, timeout: float = 120, **options: object) -> Ended:
    """Run a command line in a new interpreter; *options* are those of subprocess.run."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            # As the installed program, which does not look into the current folder.
            [sys.executable, "-P", "-m", "bigan_cli", *map(str, words)],
            capture_output=True,
            check=False,
            timeout=patient(timeout),
            **options,  # type: ignore[call-overload]
        )
    except subprocess.TimeoutExpired:
        return Ended(None, "", "", timeout)
    texts = (each.decode(errors="replace") for each in (done.stdout, done.stderr))
    return Ended(done.returncode, *texts, time.monotonic() - started)
