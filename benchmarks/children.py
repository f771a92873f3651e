"""Child processes, and what they cost: wall time, peak memory, the figures that they print."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from machine import ROOT

# Of its own, so that all contenders have their modules compiled, whatever this machine is set to.
_BYTECODE = ROOT / "build" / "benchmarks" / "bytecode"
# ru_maxrss counts bytes on macOS and kibibytes elsewhere.
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class ChildError(RuntimeError):
    """A process of a benchmark failed; the message has the end of its output."""


@dataclass(frozen=True)
class Spent:
    """What one process cost.

    Attributes:
        seconds: From its start to its end.
        peak_mib: The most memory that it ever held, pages of files that it mapped included.
        anonymous_mib: The most that it and the processes below it held at one moment without
            those pages, which the system can take back at any time. NaN where that was not
            watched, or the system does not tell (Linux does).
        out: What it printed on standard output.
        cpu_seconds: Of all its threads; unlike *seconds* hardly longer on a busy machine.
    """

    seconds: float
    peak_mib: float
    anonymous_mib: float
    out: str
    cpu_seconds: float

    def figures(self) -> dict[str, Any]:
        """Return the JSON object that the process printed last."""
        found: dict[str, Any] = json.loads(self.out.strip().splitlines()[-1])
        return found


def bigan(*words: object) -> list[str]:
    """Return the command line that runs bigan from this checkout."""
    return [sys.executable, "-m", "bigan_cli", *map(str, words)]


def run(
    command: Sequence[object],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    watch_every: float | None = None,
    accepted: Sequence[int] = (0,),
) -> Spent:
    """Run *command* to its end and return what it cost.

    Args:
        command: The program and its arguments.
        environment: Added to this process's own.
        stdin: A file to read; nothing by default.
        watch_every: Seconds between two looks at the anonymous memory; no looks by default.
        accepted: Exit codes that are no failure.

    Raises:
        ChildError: It ended with another exit code.
    """
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        (stdin or Path(os.devnull)).open("rb") as source,
    ):
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=source,
            stdout=out,
            stderr=err,
            env=_environment(environment or {}),
        )
        watch = _Watch(process.pid, watch_every) if watch_every else None
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        anonymous = watch.stop() if watch else float("nan")
        if process.returncode not in accepted:
            words = " ".join(map(str, command))
            raise ChildError(f"{words} ended with {process.returncode}:\n{_text(err)[-2000:]}")
        peak = usage.ru_maxrss * _MAXRSS_UNIT / 2**20
        cpu = usage.ru_utime + usage.ru_stime
        return Spent(seconds, peak, anonymous, _text(out), cpu)


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(_BYTECODE)}
    return {**own, **ours, **added}


class _Watch:
    """Looks from a thread at the anonymous memory of a process and of those below it."""

    def __init__(self, process: int, every: float) -> None:
        self._process = process
        self._every = every
        self._peak = math.nan
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return the peak in MiB."""
        self._done.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._done.wait(self._every):
            held = sum(map(_anonymous_mib, _family(self._process)))
            if held:
                self._peak = held if math.isnan(self._peak) else max(self._peak, held)


def _family(process: int) -> list[int]:
    """Return *process* and all that it started, theirs as well, while they last."""
    below = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            below += [int(word) for word in children.read_text(encoding="ascii").split()]
        except OSError:  # the thread has ended
            continue
    return [process, *(each for child in below for each in _family(child))]


def _anonymous_mib(process: int) -> float:
    # Shared pages count by their share, or a worker would count what it never touched.
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended, or this is not Linux
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")) / 1024


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
