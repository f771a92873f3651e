"""Full disks: one clear line that names the file, whole files alone, and nothing lost.

Files may not grow beyond a random size (RLIMIT_FSIZE), or, where a small file system can be
mounted, a real one is full. When there is room again, the same command ends with the same files
as on a disk with room.
"""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import commands
import kills
import sweep

_MESSAGES = 4096


def main(words: list[str] | None = None) -> int:
    """Run the sweep."""
    options = sweep.arguments(__doc__, 60).parse_args(words)
    started, tally = time.monotonic(), sweep.Tally("full disks")
    with sweep.scratch() as folder:
        commands.warm_up()
        whole = sweep.train_small(folder / "whole")
        commands.bigan("evaluate", "--run", whole)
        pictures = folder / "pictures"
        sweep.write_digits(pictures, 60)
        commands.bigan("-q", "score", pictures, "--run", whole, "--output", folder / "whole.csv")
        with _small_disk(folder / "disk") as disk:
            for _, rng in sweep.cases(options):
                case = rng.choice((_train, _train, _score, _evaluate, _output))
                case(folder, whole, disk if rng.random() < 0.5 else None, rng, tally)
    return tally.report(options, started)


def _train(
    folder: Path, whole: Path, disk: Path | None, rng: random.Random, tally: sweep.Tally
) -> None:
    place, words = _emptied(disk or folder / "limited"), ("-q", "train", *sweep.SMALL)
    run = place / "run"
    done = _limited(place, disk, rng, *words, "--save-dir", run)
    kind = _kind("train", disk)
    if _bad(kind, done, tally) or done.code == 0:
        return
    (place / "filling").unlink(missing_ok=True)
    progress = (run / "models" / "training-state.pt").exists()
    again = commands.bigan(*(("-q", "train", "--resume") if progress else words), "--save-dir", run)
    if again.code:
        tally.add(kind, "not continued", f"{done.err}\n{again.err}", fault=True)
        return
    expected = kills.contents(whole)
    expected = {name: value for name, value in expected.items() if not _is_of_evaluation(name)}
    found = kills.contents(run)
    differing = kills.differences(expected | {"files.txt": 0}, found | {"files.txt": 0})
    what = f"other files: {', '.join(differing)}" if differing else "reported, then the same files"
    tally.add(kind, what, done.err, fault=bool(differing))


def _is_of_evaluation(name: str) -> bool:
    return name.startswith("stats/") and name.endswith(
        ("n.json", ".csv", "c.png", "r.png", "m.png")
    )


def _score(
    folder: Path, whole: Path, disk: Path | None, rng: random.Random, tally: sweep.Tally
) -> None:
    place = _emptied(disk or folder / "limited")
    words = ("-q", "score", folder / "pictures", "--run", whole, "--output", place / "scores.csv")
    done = _limited(place, disk, rng, *words, most=12_000)
    kind = _kind("score", disk)
    if _bad(kind, done, tally) or done.code == 0:
        return
    (place / "filling").unlink(missing_ok=True)
    again = commands.bigan(*words, "--resume")
    if again.code:
        tally.add(kind, "not continued", f"{done.err}\n{again.err}", fault=True)
        return
    good = (place / "scores.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    what = "reported, then the same table" if good else "another table"
    tally.add(kind, what, f"{done.err}\n{again.err}", fault=not good)


def _evaluate(
    folder: Path, whole: Path, disk: Path | None, rng: random.Random, tally: sweep.Tally
) -> None:
    place = _emptied(disk or folder / "limited")
    run = Path(shutil.copytree(whole, folder / "evaluated"))
    words = ("-q", "evaluate", "--run", run, "--output", place / "stats")
    done = _limited(place, disk, rng, *words, most=60_000)
    shutil.rmtree(run)
    kind = _kind("evaluate", disk)
    if _bad(kind, done, tally) or done.code == 0:
        return
    shown = "AUROC" in done.out
    tally.add(kind, "reported, and shown" if shown else "not shown", done.err, fault=not shown)


def _output(
    folder: Path, whole: Path, disk: Path | None, rng: random.Random, tally: sweep.Tally
) -> None:
    place = _emptied(disk or folder / "limited")
    words: tuple[object, ...] = rng.choice(
        (
            ("-q", "animate", "--run", whole, "--output", place / "x.gif"),
            ("-q", "reconstruct", "--run", whole, "--output", place / "x.png"),
            ("-q", "score", folder / "pictures", "--run", whole, "--maps", place / "maps"),
            ("-q", "config", "init", "--output", place / "x.toml"),
        )
    )
    done = _limited(place, disk, rng, *words, most=8_000)
    kind = _kind(str(words[1]), disk)
    if not _bad(kind, done, tally) and done.code:
        left = list(place.rglob("*.tmp"))
        tally.add(kind, "temporary files" if left else "reported", done.err, fault=bool(left))


def _bad(kind: str, done: commands.Ended, tally: sweep.Tally) -> bool:
    """Count a command that ended as none may, or that had room enough."""
    problem = done.problem()
    if not problem and done.code == 0:
        tally.add(kind, "had room enough")
    elif problem or not any(words in done.err for words in ("No space", "too large")):
        tally.add(kind, problem or "reported in other words", done.err[-800:], fault=True)
        return True
    return False


def _kind(command: str, disk: Path | None) -> str:
    return f"{command}, {'limited files' if disk is None else 'full file system'}"


def _emptied(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return place


def _limited(
    place: Path, disk: Path | None, rng: random.Random, *words: object, most: int = 200_000
) -> commands.Ended:
    """Run a command with little room in *place*."""
    room = int(10 ** rng.uniform(2, 7)) % (most if disk is None else 20 * most) + 1
    if disk is None:  # the limit is of every file, and messages are caught in one
        room += _MESSAGES
    if disk is not None:
        free = shutil.disk_usage(disk).free
        with contextlib.suppress(OSError), (place / "filling").open("wb") as filling:
            filling.write(bytes(max(0, free - room)))
        return commands.bigan(*words)

    def before() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return commands.bigan(*words, before=before)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a file system of 64 MB, if this process may; yield None otherwise."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        print("no file system can be mounted here: only the size of files is limited")
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False)


if __name__ == "__main__":
    sys.exit(main())
