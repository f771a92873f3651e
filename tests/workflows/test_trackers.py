"""Trackers: what they are told of a training, and what happens where they fail."""

import json
import re

import pytest

from bigan_cli.storage.model_header import read_header

FAST = (
    *("train", "--outlier", "8", "--save-interval", "2", "--device", "cpu", "--latent-dim", "8"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4"),
)
NOTEBOOK = """
from pathlib import Path

from pydantic import Field

from bigan_cli.contracts import Options, Tracker
from bigan_cli.hookspecs import hookimpl


class NotebookOptions(Options):
    file: Path = Field(description="Where to write.")
    fails_in: str = Field("", description="A method that raises.")


class Notebook(Tracker):
    name = "notebook"
    summary = "one line for each call"
    Options = NotebookOptions

    def _write(self, method, *words):
        print("a tracker's own output")
        with self.options.file.open("a") as file:
            print(method, *words, file=file)
        if method == self.options.fails_in:
            raise RuntimeError("the server is away")

    def on_start(self, run):
        self._write("on_start", run.epoch, run.state, run.config["train"]["epochs"])
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / f"since-{run.epoch}").touch()
        return {"id": "7"}

    def on_epoch(self, record, member):
        self._write("on_epoch", member, record.epoch, "d_loss" in record.losses)

    def on_pictures(self, epoch, pictures):
        self._write("on_pictures", epoch, *sorted(pictures))

    def on_end(self, result):
        self._write("on_end", result.status, *sorted(result.metrics))


@hookimpl
def bigan_trackers():
    return [Notebook]
"""


@pytest.fixture
def train(bigan, tmp_path):
    """Train with the tracker; return the outcome and the lines that it wrote."""
    plugin, file = tmp_path / "notebook.py", tmp_path / "notebook.txt"
    plugin.write_text(NOTEBOOK)

    def run(*words):
        options = ("--set", f"output.tracker_options.notebook.file={file}")
        file.write_text("")
        outcome = bigan(*words, "--plugin", plugin, "--save-dir", tmp_path / "run", *options)
        return outcome, file.read_text().splitlines()

    return run


def test_a_tracker_follows_a_training_and_its_continuation(train, tmp_path):
    outcome, lines = train(*FAST, "--tracker", "notebook", "--epochs", "2", "--members", "2")
    assert outcome.code == 0, outcome.err
    pictures = "comparison fake test true"
    assert lines.pop() == (
        "on_end done best_epoch best_validation member_2/best_epoch member_2/best_validation "
        "seconds"
    )
    assert lines == [
        "on_start 0 {} 2",
        f"on_pictures 0 {pictures}",
        "on_epoch 1 1 True",
        "on_pictures 2 comparison fake losses test true",
        "on_epoch 1 2 True",
        "on_epoch 2 1 True",
        "on_epoch 2 2 True",
    ]
    assert outcome.out == f"{tmp_path / 'run'}\n"  # what it prints is no result
    assert "a tracker's own output" in outcome.err
    info = json.loads((tmp_path / "run/run.json").read_text())
    assert info["trackers"] == {"notebook": {"id": "7"}}
    assert [each["kind"] for each in info["plugin_versions"]] == ["tracker"]
    # It is no part of the model, which may be given to others.
    header = read_header(tmp_path / "run/models/best.safetensors")
    assert header.config.output.trackers == ()
    assert header.config.output.tracker_options == {}
    assert not header.plugin_versions

    outcome, lines = train("train", "--resume", "--epochs", "3")
    assert outcome.code == 0, outcome.err
    assert lines[0] == "on_start 2 {'id': '7'} 3"
    assert [line for line in lines if line.startswith("on_epoch")] == [
        "on_epoch 1 3 True",
        "on_epoch 2 3 True",
    ]
    recorded = (tmp_path / "run/files.txt").read_text().split()
    assert {f"trackers/notebook/since-{epoch}" for epoch in (0, 2)} <= set(recorded)


@pytest.mark.parametrize("method", ["on_epoch", "on_pictures", "on_end"])
def test_a_tracker_that_fails_is_named_once_and_the_training_continues(train, tmp_path, method):
    fails = ("--set", f"output.tracker_options.notebook.fails_in={method}")
    outcome, lines = train(*FAST, "--tracker", "notebook", "--epochs", "2", *fails)
    assert outcome.code == 0, outcome.err
    (warning,) = [line for line in outcome.err.splitlines() if line.startswith("warning:")]
    assert re.match(
        rf"warning: tracker 'notebook' \(\S+notebook.py\) failed in {method}\(\): "
        r"RuntimeError: the server is away \(\S+notebook.py:\d+\); it is not used",
        warning,
    )
    assert [line.split()[0] for line in lines].count(method) == 1
    info = json.loads((tmp_path / "run/run.json").read_text())
    assert (info["status"], info["epoch"]) == ("done", 2)


def test_a_tracker_that_cannot_start_ends_the_training_before_it_begins(train, tmp_path):
    fails = ("--set", "output.tracker_options.notebook.fails_in=on_start")
    outcome, _ = train(*FAST, "--tracker", "notebook", "--epochs", "1", *fails)
    assert outcome.code == 2
    assert "failed in on_start(): RuntimeError: the server is away" in outcome.err
    assert "output.tracker_options.notebook" in outcome.err
    assert not (tmp_path / "run/stats/metrics.jsonl").exists()


def test_installed_does_not_mean_active(train):
    outcome, lines = train(*FAST, "--epochs", "1")
    assert outcome.code == 0, outcome.err
    assert lines == []


def test_an_unknown_tracker_and_an_unknown_option_are_refused(train, tmp_path):
    outcome, _ = train(*FAST, "--tracker", "notebok")
    assert outcome.code == 2
    assert "unknown tracker 'notebok'" in outcome.err
    assert "did you mean 'notebook'" in outcome.err
    outcome, _ = train(*FAST, "--set", "output.tracker_options.notebook.flie=x")
    assert outcome.code == 2
    assert "flie" in outcome.err
    assert not (tmp_path / "run").exists()
