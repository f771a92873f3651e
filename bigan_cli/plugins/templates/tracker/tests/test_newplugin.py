"""The tracker keeps its contract, and writes what it is meant to write."""

import csv
from pathlib import Path

from bigan_newplugin import NewPluginTracker, bigan_trackers

from bigan_cli.contracts import EpochRecord, TrackedRun
from bigan_cli.testing import TrackerConformance


class TestConformance(TrackerConformance):
    tracker = NewPluginTracker


def test_the_hook_provides_it():
    assert bigan_trackers() == [NewPluginTracker]


def test_an_epoch_is_a_row(tmp_path):
    tracker = NewPluginTracker(NewPluginTracker.Options(digits=2))
    state = tracker.on_start(TrackedRun(tmp_path, tmp_path / "own", {}, {}))
    tracker.on_epoch(EpochRecord(3, {"d_loss": 1.234}, 100.0, 1.0, 0.0567, best=True), 1)
    with Path(state["file"]).open(encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["member", "epoch", "validation", "d_loss"],
            ["1", "3", "0.057", "1.2"],
        ]
