"""``bigan train`` and ``bigan benchmark`` in several processes, as torchrun starts them."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.forked_process import ForkedProcess
from tests.processes.forking import run_bigan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
]


@dataclass
class Processes:
    """Processes that run one command line; their output is in files."""

    launcher: ForkedProcess
    numbers: list[int]
    out: Path

    def end(self) -> list[int]:
        """Return the exit codes."""
        assert self.launcher.end(170) == 0, self.launcher.err
        codes: list[int] = json.loads(self.launcher.out.splitlines()[1])
        return codes

    def output(self, rank: int) -> str:
        return Path(f"{self.out}.{rank}").read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        """Wait until process 0 has printed *text*."""
        while text not in self.output(0):
            assert self.launcher.running, self.output(0)
            time.sleep(0.02)


@pytest.fixture
def start(start_bigan: Callable[..., ForkedProcess], tmp_path: Path) -> Callable[..., Processes]:
    def run(*words: object, count: int = 2) -> Processes:
        out = tmp_path / "out"
        launcher = start_bigan(count, out, *words, call=run_bigan)
        while "\n" not in launcher.out:
            assert launcher.running, launcher.err
            time.sleep(0.02)
        return Processes(launcher, json.loads(launcher.out.splitlines()[0]), out)

    return run


def assert_same_models(one: Path, two: Path) -> None:
    files = sorted(file.name for file in (one / "models").glob("*.safetensors"))
    assert files == sorted(file.name for file in (two / "models").glob("*.safetensors"))
    for name in files:
        expected, found = load_file(one / "models" / name), load_file(two / "models" / name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert value.tobytes() == found[key].tobytes(), f"{name}: {key}"


def comparable(run: Path) -> tuple[object, ...]:
    """Return the records of a run without its times."""
    lines = (run / "stats/metrics.jsonl").read_text().splitlines()
    timed = ("seconds", "images_per_second")
    records = [
        {key: value for key, value in json.loads(line).items() if key not in timed}
        for line in lines
    ]
    info = json.loads((run / "run.json").read_text())
    return records, info["members"], info["member"], info["epoch"], info["status"]


def test_members_on_two_processes_are_those_of_one(
    start: Callable[..., Processes],
    ensemble: Path,
    small_options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    words = ("train", "--outlier", "8", "--members", "2", *small_options, "--save-dir", run)
    processes = start(*words)
    assert processes.end() == [0, 0], processes.output(0)
    assert processes.output(1) == ""
    assert_same_models(ensemble, run)
    assert comparable(run) == comparable(ensemble)
    assert not (run / ".members").exists()


def test_members_on_photographs_have_features_that_the_processes_divide(
    start: Callable[..., Processes], photographs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ("--dataset", "folder", "--data-root", photographs, "--image-size", "128")
    sets = ("train.min_epoch_steps=6", "train.max_epoch_steps=6", "data.folds=2")
    options = [word for each in (*sets, "output.preview_images=2") for word in ("--set", each)]
    few = ("--epochs", "2", "--save-interval", "2", "--device", "cpu", "--fpr", "0.2")
    processes = start("train", *words, *options, *few, "--members", "2", "--save-dir", run)
    assert processes.end() == [0, 0], processes.output(0) + processes.output(1)
    alone, both = (
        load_file(each / "models/last.safetensors") for each in (photographs / "run", run)
    )
    first = [name for name in alone if name.startswith("members.0.")]
    assert "members.0.networks.extractor.mean" in first
    for name in first:
        assert alone[name].tobytes() == both[name].tobytes(), name
    extractors = [both[f"members.{i}.networks.extractor.mean"].tobytes() for i in (0, 1)]
    assert extractors[0] == extractors[1]


def test_a_shard_that_one_process_cannot_read_ends_all_with_one_line(
    start: Callable[..., Processes],
    write_digits: Callable[..., list[Path]],
    write_tar: Callable[..., Path],
    small_options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    digits = [path.read_bytes() for path in write_digits(tmp_path / "digits", 0, 400)]
    shards = []
    for number in range(4):
        members = {f"{i}.png": digits[i] for i in range(100 * number, 100 * number + 100)}
        shards.append(write_tar(tmp_path / f"{number}.tar", members))
    words = ("--dataset", "shards", "--set", f"data.options.urls={tmp_path}", "--epochs", "500")
    small = ("--set", "data.block_cache_gb=0", "--set", "data.shuffle_buffer_mb=1")
    run = tmp_path / "run"
    options = (*words, *small, "--image-size", "32", "--save-dir", run)
    processes = start("train", *small_options, *options)
    processes.wait_for("epoch 1/500")
    shards[2].unlink()
    assert processes.end() == [1, 1]
    said = (processes.output(0) + processes.output(1)).splitlines()
    errors = [line for line in said if line.startswith("error:")]
    assert errors == [f"error: cannot read {shards[2]}: no such file"]
    assert "Traceback" not in "".join(said)
    assert json.loads((run / "run.json").read_text())["status"] in ("failed", "interrupted")


def test_a_killed_process_ends_all_with_one_line_and_the_run_resumes(
    start: Callable[..., Processes],
    bigan: Callable[..., object],
    small_options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    options = ("--outlier", "8", *small_options, "--save-dir", run, "--save-interval", "1")
    processes = start("train", *options, "--epochs", "500")
    processes.wait_for("epoch 2/500")
    os.kill(processes.numbers[1], signal.SIGKILL)
    assert processes.end() == [1, -signal.SIGKILL]
    said = [line for line in processes.output(0).splitlines() if "error:" in line]
    assert said == ["error: another process of this training has ended, so it stopped"]
    assert "Traceback" not in processes.output(0)
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert not list(run.glob("**/*.tmp"))
    trained = len((run / "stats/metrics.jsonl").read_text().splitlines())
    result = bigan("train", "--resume", "--save-dir", run, "--epochs", str(trained + 1))
    assert result.code == 0, result.err


def test_a_signal_to_one_process_saves_and_stops_all(
    start: Callable[..., Processes],
    small_options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    processes = start(
        "train", "--outlier", "8", *small_options, "--save-dir", run, "--epochs", "500"
    )
    processes.wait_for("epoch 1/500")
    os.kill(processes.numbers[1], signal.SIGTERM)
    assert processes.end() == [130, 130], processes.output(0)
    assert "all work is saved" in processes.output(0)
    assert processes.output(1) == ""
    assert (run / "models/training-state.pt").exists()


def test_a_batch_that_cannot_be_divided_is_refused_in_one_line(
    start: Callable[..., Processes], small_options: tuple[str, ...], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    processes = start("train", *small_options, "--batch-size", "33", "--save-dir", run)
    assert processes.end() == [2, 2]
    said = (processes.output(0) + processes.output(1)).splitlines()
    errors = [line for line in said if line.startswith(("error:", "hint:"))]
    assert errors == [
        "error: a batch of 33 images cannot be divided equally among 2 processes",
        "hint: set --batch-size 32",
    ]
    assert not run.exists()


# A dataset that has other images in every process.
DIFFERING = """
import os
import numpy as np
from bigan_cli.contracts import Dataset, Items
from bigan_cli.hookspecs import hookimpl

class Differing(Dataset):
    name, summary, class_names = "differing", "other images in every process", ("normal",)

    def train_items(self):
        random = np.random.default_rng(int(os.environ["RANK"]))
        return Items(random.integers(0, 256, (300, 8, 8), np.uint8), [0] * 300)

    def test_items(self):
        return Items(np.empty((0, 8, 8), np.uint8), [])

    def normal_classes(self):
        return (0,)

@hookimpl
def bigan_datasets():
    return [Differing]
"""


@pytest.mark.parametrize("members", [1, 2])
def test_processes_that_see_other_images_end_with_one_line(
    start: Callable[..., Processes], small_options: tuple[str, ...], tmp_path: Path, members: int
) -> None:
    plugin, run = tmp_path / "differing.py", tmp_path / "run"
    plugin.write_text(DIFFERING)
    words = ("--plugin", plugin, "--dataset", "differing", "--members", members)
    processes = start("train", *small_options, *words, "--save-dir", run)
    assert processes.end() == [2, 1], processes.output(0)
    said = (processes.output(0) + processes.output(1)).splitlines()
    errors = [line for line in said if line.startswith(("error:", "hint:"))]
    assert errors == [
        "error: process 1 has other images than process 0",
        "hint: all processes need the same command and the same files",
    ]
    assert not run.exists()


def test_the_runs_of_a_benchmark_are_divided(
    start: Callable[..., Processes], tmp_path: Path
) -> None:
    output = tmp_path / "benchmark"
    sets = ("train.epochs=1", "model.options.feature_maps_gen=4", "output.preview_images=1")
    words = [word for each in sets for word in ("--set", each)]
    processes = start(
        *("benchmark", "--dataset", "digits", "--inlier", "3", "--seed", "0", "--seed", "1"),
        *("--device", "cpu", "--output", output, *words),
    )
    assert processes.end() == [0, 0], processes.output(0)
    assert processes.output(1) == ""
    cells = json.loads((output / "results.json").read_text())["cells"]
    assert [(cell["seed"], cell["status"]) for cell in cells] == [(0, "done"), (1, "done")]
    assert not (output / ".rows").exists()
