"""The arithmetic that every published figure goes through."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def harness(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness

    return harness


@pytest.fixture
def benchmark(harness, tmp_path):
    options = argparse.Namespace(repeats=3, quick=False, output=tmp_path)
    return harness.Benchmark("made-up", "Made up", options, {"seed": 0}, {"wall": "s"})


def test_contenders_run_in_turn(benchmark):
    order = []

    def contender(name, seconds):
        def once():
            order.append(name)
            return {"wall": next(seconds)}

        return once

    ours, peer = iter([9.0, 1.0, 2.0, 6.0]), iter([9.0, 2.0, 2.0, 3.0])
    contenders = {"ours": contender("ours", ours), "peer": contender("peer", peer)}
    benchmark.interleave(contenders, discarded=1)
    assert order == ["ours", "peer"] * 4
    assert benchmark.runs("ours", "wall") == [1, 2, 6]  # the first round does not count


def test_a_ratio_is_taken_round_by_round(benchmark, harness):
    for ours, peer in ((1, 2), (2, 2), (6, 3)):
        benchmark.add("ours", {"wall": ours})
        benchmark.add("peer", {"wall": peer})
    benchmark.ratio("ours", "peer", "wall", harness.Target(most=1.5))
    benchmark.difference("ours", "peer", "wall", harness.Target(most=-1))
    ratio, difference = benchmark.document()["checks"]
    assert (ratio["runs"], ratio["median"], ratio["reached"]) == ([0.5, 1, 2], 1, True)
    assert (difference["runs"], difference["reached"]) == ([-1, 0, 3], False)
    assert ratio["target"] == "at most 1.5"


def test_the_files_tell_the_whole_story(benchmark, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["somewhere/made_up.py", "--output", str(tmp_path)])
    benchmark.add("ours", {"wall": 1.25})
    assert benchmark.finish() == 0
    found = json.loads((tmp_path / "made-up.json").read_text())
    assert found["command"] == "python benchmarks/made_up.py --output DIR"
    assert found["measured"][0]["runs"] == [1.25]
    assert len(found["commit"]["hash"]) >= 7
    assert found["versions"]["bigan"]
    assert (tmp_path / "made-up.md").read_text() == capsys.readouterr().out


def test_targets(harness):
    assert harness.Target(least=3).reached(3)
    assert not harness.Target(least=3).reached(2.99)
    assert not harness.Target(most=1.5).reached(math.inf)


def test_a_child_that_fails_is_told(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import children

    with pytest.raises(children.ChildError, match="broken on purpose"):
        children.run([sys.executable, "-c", "raise SystemExit('broken on purpose')"])


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="not Linux")
def test_the_memory_of_a_child_and_of_those_below_it_is_seen(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import children

    grandchild = "import time; held = bytearray(100 * 2**20); time.sleep(1)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    spent = children.run([sys.executable, "-c", program], watch_every=0.05)
    assert 100 < spent.anonymous_mib < 200
