"""What the sweeps of faults share: arguments, counting, and command lines in forked processes.

A sweep makes many cases from a seed, runs each, and counts how they ended. It prints the counts
and the first faults of each kind, and exits with 1 if there is any fault.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; forks inherit it

ROOT = Path(__file__).resolve().parents[2]
SCREEN = 4000  # characters of a message
_SHOWN = 5
_PATIENCE = float(os.environ.get("FAULTS_PATIENCE", "1"))  # more on a busy machine
_MEMORY = 6_000_000_000  # bytes of address space that a case may use beyond the warmed parent's


@dataclass
class Tally:
    """How the cases of a sweep ended.

    Attributes:
        name: The sweep.
        ended: Kind of case, outcome -> number of cases.
        faults: What went wrong -> the cases.
    """

    name: str
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, outcome: str, case: object = "", *, fault: bool = False) -> None:
        """Count a case of *kind*; one that is a *fault* is shown with its *case*."""
        self.ended[kind, outcome] += 1
        if fault:
            self.faults.setdefault(f"{kind}: {outcome}", []).append(str(case))

    def report(self, options: argparse.Namespace, started: float) -> int:
        """Print the table of counts and the faults; return the exit code."""
        kinds = sorted({kind for kind, _ in self.ended})
        outcomes = sorted({outcome for _, outcome in self.ended})
        seconds = time.monotonic() - started
        print(f"\n{self.name}: {self.ended.total():,} cases, seed {options.seed}, {seconds:.0f} s")
        print("\n| kind | " + " | ".join(outcomes) + " |\n|---|" + "---:|" * len(outcomes))
        for kind in kinds:
            counts = [f"{self.ended[kind, outcome]:,}" for outcome in outcomes]
            print(f"| {kind} | " + " | ".join(counts) + " |")
        total = [f"{sum(self.ended[k, o] for k in kinds):,}" for o in outcomes]
        print("| **all** | " + " | ".join(total) + " |")
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, -1))
        print(f"\nlargest process: {peak / 1024:,.0f} MiB")
        for what, cases in self.faults.items():
            print(f"\nFAULT {what}: {len(cases)}")
            for case in cases[:_SHOWN]:
                print(f"  {case[:2000]}")
        print(f"\nfaults: {sum(map(len, self.faults.values()))}")
        return 1 if self.faults else 0


def arguments(description: str | None, count: int) -> argparse.ArgumentParser:
    """Return a parser of the options that every sweep has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--count", type=int, default=count, help="cases [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of the cases [%(default)s]")
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="time limit, however many cases are done"
    )
    return parser


def cases(options: argparse.Namespace) -> Iterator[tuple[int, random.Random]]:
    """Yield the number of each case and a generator of random numbers of its own."""
    deadline = time.monotonic() + options.seconds
    for number in range(options.count):
        if time.monotonic() > deadline:
            return
        # For one case alone: its number and the seed say all.
        yield number, random.Random(f"{options.seed} {number}")


def patient(seconds: float) -> float:
    """Return the time after which a case of *seconds* counts as hung."""
    return seconds * _PATIENCE


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder, which is the current one; caches are below it as well."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bigan-faults-") as name:
        folder = Path(name).resolve()
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        # Else every sweep would make the list of fonts anew.
        os.environ.setdefault("MPLCONFIGDIR", str(Path(name).with_name("bigan-faults-fonts")))
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


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


SMALL = (
    *("--epochs", "2", "--save-interval", "1", "--device", "cpu", "--latent-dim", "6"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--outlier", "8"),
    *("--set", "train.max_epoch_steps=4", "--set", "output.preview_images=4"),
    *("--set", "score.components=reconstruction,latent_neighbours,distortion"),
)
"""Options of a training of a second, on the digits."""


def train_small(folder: Path, *words: object) -> Path:
    """Train a small run in *folder*."""
    done = bigan("-q", "train", *SMALL, *words, "--save-dir", folder, timeout=300)
    if done.code != 0:
        raise SystemExit(f"the sweep cannot be set up: {done.err or 'it takes too long'}")
    return folder


def write_digits(folder: Path, count: int = 40) -> list[Path]:
    """Write digits as PNG files."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, pixels in enumerate(load_digits().images[:count]):
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(np.round(pixels * 255 / 16).astype(np.uint8)).save(paths[-1])
    return paths


def damaged(data: bytes, rng: random.Random, start: int = 0, end: int | None = None) -> bytes:
    """Return *data* with random damage that begins between *start* and *end*.

    Flipped bits, a cut, zeros to the end, random bytes, or bytes that are missing or too many.
    """
    bits = bytearray(data)
    at = rng.randrange(start, min(end or len(data), len(data)) or 1)
    stop = min(len(data), at + rng.choice((1, 8, 64, 4096)))
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice((1, 1, 3))):
                bits[rng.randrange(at, max(stop, at + 1))] ^= 1 << rng.randrange(8)
        case 1:
            del bits[at:]
        case 2:
            bits[at:] = bytes(len(bits) - at)
        case 3:
            bits[at:stop] = rng.randbytes(stop - at)
        case 4:
            del bits[at:stop]
        case _:
            bits[at:at] = rng.randbytes(stop - at)
    return bytes(bits)


STRANGE: tuple[object, ...] = (
    None, True, False, -1, 0, 1, 2**63, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "x",
    "\x00", "../../x", "x" * 100_000, [], [0], {}, {"x": 1}, [[[[1]]]], ["x"] * 1000,
)  # fmt: skip
"""Values of every type, some huge, to put in place of any value."""


def change_value(document: object, rng: random.Random) -> tuple[object, ...]:
    """Change or remove a value at a random place of a JSON document; return its keys."""
    keys: list[object] = []
    while isinstance(document, dict | list) and document:
        key = rng.choice(list(document) if isinstance(document, dict) else range(len(document)))
        keys.append(key)
        inner = document[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
            if rng.random() < 0.15:
                del document[key]
            else:
                document[key] = rng.choice(STRANGE)
            break
        document = inner
    return tuple(keys)
