"""``bigan train`` started by ``torchrun`` itself, as the guide to scaling shows it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def start(log: Path, *words: object) -> subprocess.Popen[bytes]:
    """Start two processes, all of whose output goes to *log*."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            [*TORCHRUN, "-m", "bigan_cli", *map(str, words)],
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


def epochs(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "stats/metrics.jsonl").read_text().splitlines()]


def test_two_processes_learn_what_one_does(
    trained: Path, small_options: tuple[str, ...], tmp_path: Path
) -> None:
    log, run = tmp_path / "log", tmp_path / "run"
    launcher = start(log, "train", "--outlier", "8", *small_options, "--save-dir", run)
    assert launcher.wait(570) == 0, log.read_text()
    assert "each batch is divided among 2 processes" in log.read_text()
    one, two = epochs(trained), epochs(run)
    assert len(one) == len(two) > 1
    for expected, found in zip(one, two, strict=True):
        assert found["losses"] == pytest.approx(expected["losses"], rel=2e-3, abs=1e-3)
        assert found["validation"] == pytest.approx(expected["validation"], rel=1e-3)
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def process_of(launcher: int, rank: int) -> int:
    """Return the number of the process of *rank* that *launcher* has started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    for child in children:
        if f"\0RANK={rank}\0".encode() in Path(f"/proc/{child}/environ").read_bytes():
            return int(child)
    raise AssertionError(children)


def test_one_killed_process_ends_all_with_one_line(
    small_options: tuple[str, ...], tmp_path: Path
) -> None:
    log, run = tmp_path / "log", tmp_path / "run"
    words = ("train", "--outlier", "8", *small_options, "--save-dir", run)
    launcher = start(log, *words, "--epochs", "5000", "--save-interval", "5000")
    while "epoch 2/5000" not in log.read_text():
        assert launcher.poll() is None, log.read_text()
        time.sleep(0.1)
    os.kill(process_of(launcher.pid, 1), signal.SIGKILL)
    assert launcher.wait(570) == 1
    # What torchrun reports itself comes before and after it.
    said = [line for line in log.read_text().splitlines() if line.startswith("error:")]
    assert said == ["error: another process of this training has ended, so it stopped"]
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert not list(run.glob("**/*.tmp"))
