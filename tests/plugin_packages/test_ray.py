"""Ray gives the rows of the plain command, also where an actor is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ray = pytest.importorskip("ray", reason="no Ray: pip install ./plugins/bigan-ray")
pytest.importorskip("bigan_ray", reason="not installed: pip install ./plugins/bigan-ray")

# Ray starts processes and threads that outlast what starts them.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Start a Ray of two processes, with an object store of 80 MB.

    Its processes have the priority of this one: by default they yield to all others.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        _start()
    yield
    ray.shutdown()


def _start() -> None:
    ray.init(
        address="local",  # not one that another test has started
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )


@pytest.fixture
def inputs(pictures, tmp_path) -> list[Path]:
    """Return a folder of 150 pictures, and one that cannot be read."""
    damaged = tmp_path / "damaged.png"
    damaged.write_text("no picture")
    return [pictures, damaged]


def actor_pids() -> list[int]:
    """Return the processes of the actors that score, of this test's own Ray."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, check=True, encoding="utf-8"
    )
    processes = [line.split(None, 2) for line in listed.stdout.splitlines()]
    ours = {pid for pid, parent, _ in processes if parent == str(os.getpid())}
    return [
        int(pid)
        for pid, parent, name in processes
        if parent in ours and name.startswith("ray::MapWorker")
    ]


def score(bigan, trained, *words: object):
    return bigan("score", *words, "--run", trained, "--device", "cpu")


def test_an_actor_that_is_killed_in_the_middle_loses_and_repeats_no_row(
    bigan, trained, inputs, tmp_path, cluster
) -> None:
    whole, spread = tmp_path / "whole.csv", tmp_path / "spread.csv"
    assert score(bigan, trained, *inputs, "--output", whole).code == 4
    killed: list[int] = []

    def kill_one() -> None:
        parts = Path(f"{spread}.parts")
        while len(list(parts.glob("*.csv"))) < 3:
            time.sleep(0.05)
        victim = actor_pids()[0]
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    words = ("--engine", "ray", "--workers", 2, "--part-size", 5, "--output", spread)
    done = score(bigan, trained, *inputs, *words)
    killer.join(60)
    assert done.code == 4, done.err
    assert killed
    assert spread.read_bytes() == whole.read_bytes()


def test_parts_that_exist_are_not_scored_again(bigan, trained, inputs, tmp_path, cluster) -> None:
    whole, spread = tmp_path / "whole.csv", tmp_path / "spread.csv"
    assert score(bigan, trained, *inputs, "--output", whole).code == 4
    words = ("--part-size", 50, "--output", spread)
    assert score(bigan, trained, *inputs, *words, "--shard", "1/2").code == 0
    first = Path(f"{spread}.parts") / "00000.csv"
    before = first.stat().st_mtime_ns
    assert score(bigan, trained, *inputs, *words, "--engine", "ray").code == 4
    assert first.stat().st_mtime_ns == before
    assert spread.read_bytes() == whole.read_bytes()
