"""A training that is killed and resumed ends with the same files as one that is not."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from safetensors.numpy import load_file

from bigan_cli.cli.main import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]

SMALL = (
    *("train", "--outlier", "8", "--epochs", "4", "--save-interval", "2", "--device", "cpu"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--latent-dim", "6"),
)

SESSION = "bigan_cli.workflows.training_session"
STATE = (SESSION, "write_training_state")
BEFORE_CONFIG = ("bigan_cli.storage.run_directory", "RunDirectory.write_config", 1)
POINTS = {
    "before the first state": (*STATE, 1),
    "before the pictures": ("bigan_cli.workflows.run_pictures", "RunPictures.save", 2),
    "between pictures and state": (*STATE, 2),
    "before the last state": (*STATE, 3),
    "before the last status": ("bigan_cli.storage.run_directory", "RunDirectory.write_info", 6),
    "while a file is written": ("os", "fsync", 12),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*SMALL, "--save-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def kill(start_bigan):
    """Train in a process that kills itself right before the n-th call of a function."""

    def run(point, folder):
        kill_at = (*point, signal.SIGKILL)
        process = start_bigan(*SMALL, "--save-dir", folder, signal_at=kill_at)
        assert process.end() == -signal.SIGKILL, process.err

    return run


def contents(folder):
    """Return what must be equal: all files, without times."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found[name] = {key: value.tobytes() for key, value in load_file(path).items()}
        elif path.name == "metrics.jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [(row["epoch"], row["losses"], row["validation"]) for row in rows]
        elif path.name in ("run.json", "config.toml", "training-state.pt") or path.is_dir():
            found[name] = None  # they hold times and paths
        else:
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_killed_run_resumes_to_the_same_files(kill, whole, tmp_path, point):
    folder = tmp_path / "run"
    kill(point, folder)
    assert main(["train", "--resume", "--save-dir", str(folder)]) == 0
    assert contents(folder) == contents(whole)
    assert json.loads((folder / "run.json").read_text())["status"] == "done"


@pytest.mark.parametrize("point", [BEFORE_CONFIG, POINTS["before the first state"]])
def test_a_run_killed_before_it_saved_anything_is_started_again(
    kill, whole, tmp_path, point, capsys
):
    folder = tmp_path / "run"
    kill(point, folder)
    if point is BEFORE_CONFIG:
        assert main(["train", "--resume", "--save-dir", str(folder)]) == 2
        error = capsys.readouterr().err
        assert "stopped before its configuration was written" in error
        assert "start it again without --resume" in error
    assert main([*SMALL, "--save-dir", str(folder)]) == 0
    assert contents(folder) == contents(whole)
