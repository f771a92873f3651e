"""Killed processes: what they leave is continued to the same files as of one that was not killed.

``train``, ``score`` and ``benchmark`` are killed with SIGKILL at a random moment and started again,
until they end. Trainings are also killed once right before and right after each call that changes
the file system, one after another. Then pictures, statistics, weights and tables must be those of
a whole run, and no temporary file may be left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import sweep

_MOST_KILLS = 4
_CHANGES = ("replace", "unlink", "mkdir", "rmdir", "fsync", "link")  # functions of os
_BENCHMARK = (
    *("benchmark", "--dataset", "digits", "--outlier", "8", "--seed", "0", "--seed", "1"),
    *("--device", "cpu", "--set", "train.epochs=2", "--set", "model.latent_dim=6"),
    *("--set", "train.max_epoch_steps=4", "--set", "output.save_interval=1"),
    *("--set", "score.components=reconstruction,latent_neighbours"),
)


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    parser = sweep.arguments(__doc__, 100)
    parser.add_argument(
        "--kind", choices=("train", "boundary", "score", "benchmark"), help="one kind alone"
    )
    options = parser.parse_args(words)
    started, tally = time.monotonic(), sweep.Tally("killed processes")
    with sweep.scratch() as folder:
        commands.warm_up()
        kinds = {
            "train": _Trainings,
            "boundary": _Boundaries,
            "score": _Scorings,
            "benchmark": _Benchmarks,
        }
        made: dict[str, Any] = {}
        for number, rng in sweep.cases(options):
            # A benchmark starts new interpreters, which takes far longer.
            usual = ("train", "boundary", "train", "score")[number % 4]
            kind = options.kind or ("benchmark" if number % 20 == 19 else usual)
            if kind not in made:
                made[kind] = kinds[kind](folder / kind)
            made[kind].run(rng, tally)
    return tally.report(options, started)


def _kinds() -> dict[str, Any]:
    return {
        "train": _Trainings,
        "boundary": _Boundaries,
        "score": _Scorings,
        "benchmark": _Benchmarks,
    }


class _Trainings:
    """Trainings of two epochs, with saves after each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words = ("-q", "train", *sweep.SMALL)
        self.seconds = self._time()
        self.whole = contents(folder / "whole")

    def _time(self) -> float:
        done = commands.bigan(*self.words, "--save-dir", self.folder / "whole", timeout=600)
        return done.seconds

    def run(self, rng: random.Random, tally: sweep.Tally) -> None:
        """Kill a training a few times, let it end, and compare its files."""
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        kills = 0
        for _ in range(rng.randrange(1, _MOST_KILLS + 1)):
            done = self._continue(run, rng.uniform(0, self.seconds * 0.8))
            kills += done.code == -9
            if done.code not in (-9, 0):
                tally.add("train", done.problem() or f"exit code {done.code}", done.err, fault=True)
                return
        self._end(run, f"train, {kills} kills", "", tally)

    def _end(self, run: Path, kind: str, case: str, tally: sweep.Tally) -> None:
        """Let a killed training end, and compare its files."""
        done = self._continue(run, None)
        if done.code != 0:
            tally.add(kind, "not continued", f"{case}: {done.err}", fault=True)
            return
        differing = differences(self.whole, contents(run))
        outcome = f"other files: {', '.join(differing)}" if differing else "same files"
        tally.add(kind, outcome, case, fault=bool(differing))

    def _continue(
        self,
        run: Path,
        kill_after: float | None,
        before: Callable[[], object] | None = None,
    ) -> commands.Ended:
        progress = (run / "models" / "training-state.pt").exists()
        words = ("-q", "train", "--resume") if progress else self.words
        return commands.bigan(
            *words, "--save-dir", run, kill_after=kill_after, before=before, timeout=600
        )


class _Boundaries(_Trainings):
    """Trainings that are killed at the next change of the file system, before it or after it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        counted = folder / "changes"
        counted.touch()
        self._continue(folder / "counted", None, _at_changes(lambda _: _write_byte(counted)))
        self.changes = counted.stat().st_size
        self.left: list[int] = []

    def run(self, rng: random.Random, tally: sweep.Tally) -> None:
        """Kill a training once, let it end, and compare its files."""
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        # Every one comes before any comes again.
        self.left = self.left or rng.sample(range(2 * self.changes), 2 * self.changes)
        number, after = divmod(self.left.pop(), 2)
        kill = _at_changes(lambda count: count == number and _kill(), after=bool(after))
        done = self._continue(run, None, kill)
        when = f"{'after' if after else 'before'} change {number + 1} of {self.changes}"
        if done.code != -9:
            tally.add("train, at a change", "not killed", f"{when}: {done.err}", fault=True)
            return
        self._end(run, "train, at a change", when, tally)


def _at_changes(call: Callable[[int], object], *, after: bool = False) -> Callable[[], None]:
    """Return a function after which *call* gets the number of each change of the file system."""

    def wrap() -> None:
        count = 0

        def wrapped(change: Callable[..., Any]) -> Callable[..., Any]:
            def run(*words: Any, **named: Any) -> Any:
                nonlocal count
                number, count = count, count + 1
                if not after:
                    call(number)
                try:
                    return change(*words, **named)
                finally:  # a change that fails, such as removing what is not there, is one as well
                    if after:
                        call(number)

            return run

        for name in _CHANGES:
            setattr(os, name, wrapped(getattr(os, name)))

    return wrap


def _write_byte(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b".")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Scorings:
    """Scorings of 200 files to a CSV file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run = sweep.train_small(folder / "run")
        pictures = folder / "pictures"
        sweep.write_digits(pictures, 200)
        (pictures / "broken.png").write_bytes(b"not an image")
        self.words = ("-q", "score", pictures, "--run", run, "--output")
        done = commands.bigan(*self.words, folder / "whole.csv")
        self.seconds = done.seconds
        self.whole = (folder / "whole.csv").read_bytes()

    def run(self, rng: random.Random, tally: sweep.Tally) -> None:
        """Kill a scoring a few times, let it end, and compare its table."""
        output = self.folder / "out" / "scores.csv"
        shutil.rmtree(output.parent, ignore_errors=True)
        for _ in range(rng.randrange(1, _MOST_KILLS + 1)):
            commands.bigan(
                *self.words, output, "--resume", kill_after=rng.uniform(0, self.seconds * 1.2)
            )
        done = commands.bigan(*self.words, output, "--resume")
        rows = sorted(output.read_bytes().splitlines()) if output.exists() else []
        left = sorted(path.name for path in output.parent.iterdir() if path != output)
        if done.code != 4 or rows != sorted(self.whole.splitlines()):
            tally.add("score", f"another table, exit code {done.code}", done.err, fault=True)
        elif left:
            tally.add("score", "files left", left, fault=True)
        else:
            tally.add("score", "same table")


class _Benchmarks:
    """Benchmarks of two cells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds = commands.bigan(
            *_BENCHMARK, "--output", folder / "whole", timeout=600, limit_memory=False
        ).seconds
        self.whole = _figures(folder / "whole")

    def run(self, rng: random.Random, tally: sweep.Tally) -> None:
        """Kill a benchmark once or twice, let it end, and compare its figures."""
        output = self.folder / "out"
        shutil.rmtree(output, ignore_errors=True)
        words = (*_BENCHMARK, "--output", output)
        for _ in range(rng.randrange(1, 3)):
            after = rng.uniform(0, self.seconds)
            commands.bigan(*words, kill_after=after, timeout=600, limit_memory=False)
        done = commands.bigan(*words, timeout=600, limit_memory=False)
        if done.code or _figures(output) != self.whole:
            tally.add("benchmark", f"other figures, exit code {done.code}", done.err, fault=True)
        else:
            tally.add("benchmark", "same figures")


def _figures(folder: Path) -> list[tuple[Any, ...]]:
    try:
        cells = json.loads((folder / "results.json").read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):
        return []
    return [(cell["cell"], cell["status"], cell.get("auroc")) for cell in cells]


def contents(folder: Path) -> dict[str, Any]:
    """Return what must be equal: all files by their names, without times and paths."""
    from safetensors.numpy import load_file

    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".safetensors":
            found[name] = {key: value.tobytes() for key, value in load_file(path).items()}
        elif path.name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            found[name] = [(row["epoch"], row["losses"], row["validation"]) for row in rows]
        elif path.name == "run.json":
            found[name] = json.loads(path.read_text(encoding="utf-8"))["status"]
        elif path.name in ("config.toml", "training-state.pt") or path.is_dir():
            found[name] = None
        else:
            found[name] = path.read_bytes()
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names of files that are in one of two folders, or differ."""
    names = sorted(one.keys() | other.keys())
    return [
        name for name in names if name not in one or name not in other or one[name] != other[name]
    ]


if __name__ == "__main__":
    sys.exit(main())
