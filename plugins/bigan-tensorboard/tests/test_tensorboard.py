"""The tracker ``tensorboard``, read back by TensorBoard itself."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bigan_cli.cli.main import main
from bigan_cli.testing import TrackerConformance
from bigan_tensorboard import TensorBoardTracker, bigan_trackers

FAST = (
    *("train", "--outlier", "8", "--save-interval", "2", "--device", "cpu", "--latent-dim", "8"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--tracker", "tensorboard"),
)


class TestConformance(TrackerConformance):
    tracker = TensorBoardTracker


def test_the_hook_provides_it():
    assert bigan_trackers() == [TensorBoardTracker]


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard") / "run"
    assert main([*FAST, "--epochs", "2", "--save-dir", str(folder)]) == 0
    return folder


def test_every_epoch_is_there_and_a_resumed_run_continues(run):
    assert main(["train", "--resume", "--epochs", "4", "--save-dir", str(run)]) == 0
    events = read(run / "trackers/tensorboard")
    rows = [json.loads(line) for line in (run / "stats/metrics.jsonl").read_text().splitlines()]
    for tag, figure in {
        "validation": lambda row: row["validation"],
        "loss/d_loss": lambda row: row["losses"]["d_loss"],
        "diagnostics/code_variance": lambda row: row["extra"]["code_variance"],
    }.items():
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        assert found == [(row["epoch"], pytest.approx(figure(row))) for row in rows]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    shown = events.Images("pictures/comparison")
    assert [image.step for image in shown] == [0, 2, 4]
    assert shown[0].encoded_image_string.startswith(b"\x89PNG")
    assert {"config/text_summary", "result/text_summary"} <= set(events.Tags()["tensors"])


def test_overwrite_removes_its_files(run):
    before = set((run / "trackers/tensorboard").iterdir())
    assert before
    assert main([*FAST, "--epochs", "1", "--overwrite", "--save-dir", str(run)]) == 0
    assert before.isdisjoint((run / "trackers/tensorboard").iterdir())


def test_a_folder_for_all_runs(tmp_path):
    options = ("--set", f"output.tracker_options.tensorboard.folder={tmp_path / 'all'}")
    for parent in ("one", "two"):
        folder = tmp_path / parent / "run"
        assert main([*FAST, *options, "--epochs", "1", "--save-dir", str(folder)]) == 0
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"run", "run-2"}
