"""The tracker ``mlflow``, read back from a local database by MLflow itself."""

import json
import os

import pytest

from bigan_cli.cli.main import main
from bigan_cli.contracts import TrackedRun
from bigan_cli.testing import TrackerConformance, tracker_checks
from bigan_mlflow import MlflowTracker, bigan_trackers

# Imports of MLflow warn of its dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")

FAST = (
    *("train", "--outlier", "8", "--save-interval", "2", "--device", "cpu", "--latent-dim", "8"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--tracker", "mlflow"),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a database in a folder of its own, where artifacts are written, too."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    before = os.getcwd()  # noqa: PTH109
    os.chdir(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield MlflowClient()
    os.chdir(before)


def test_the_hook_provides_it():
    assert bigan_trackers() == [MlflowTracker]


def test_it_keeps_its_contract(client):
    failed = []
    for each in tracker_checks(MlflowTracker):
        try:
            each.call()
        except AssertionError as error:
            failed.append(f"{each.name}: {error}")
    assert not failed


def test_a_training_is_a_run_and_a_resumed_one_continues_it(client, tmp_path, capsys):
    folder = tmp_path / "screws"
    assert main([*FAST, "--epochs", "2", "--save-dir", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}\n"
    run_id = json.loads((folder / "run.json").read_text())["trackers"]["mlflow"]["run_id"]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert main(["train", "--resume", "--epochs", "3", "--save-dir", str(folder)]) == 0
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "screws")
    assert run.data.params["train.epochs"] == "2"  # MLflow keeps the first value
    assert run.data.params["data.outlier"] == "[8]"
    rows = [json.loads(line) for line in (folder / "stats/metrics.jsonl").read_text().splitlines()]
    history = client.get_metric_history(run_id, "validation")
    assert [(each.step, each.value) for each in history] == [
        (row["epoch"], row["validation"]) for row in rows
    ]
    best = json.loads((folder / "run.json").read_text())["best_validation"]
    assert run.data.metrics["best_validation"] == best
    artifacts = {each.path for each in client.list_artifacts(run_id)}
    assert {"config.toml", "best.safetensors", "losses.png", "reconstruction"} <= artifacts
    pictures = client.list_artifacts(run_id, "reconstruction/test")
    assert [each.path.rpartition("/")[2] for each in pictures] == [
        "epoch-0000.png",
        "epoch-0002.png",
        "epoch-0003.png",
    ]
    assert "mlflow" not in (folder / "models/best.safetensors").read_bytes().decode("latin-1")


def test_a_server_that_is_not_there_is_named_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = ("--set", "output.tracker_options.mlflow.tracking_uri=http://127.0.0.1:9")
    assert main([*FAST, *uri, "--epochs", "1", "--save-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "tracker 'mlflow' (bigan-mlflow 0.1.0) failed in on_start()" in error
    assert "or train without it" in error
    assert not (tmp_path / "run/stats/metrics.jsonl").exists()


class TestDeclaration(TrackerConformance):
    tracker = MlflowTracker

    @classmethod
    def conformance_checks(cls):
        """Return the checks that need no database."""
        return [each for each in super().conformance_checks() if "option" in each.name]


def test_names_can_be_chosen(client, tmp_path):
    options = MlflowTracker.Options(experiment="screws", run_name="first")
    state = MlflowTracker(options).on_start(TrackedRun(tmp_path, tmp_path / "own", {}, {}))
    run = client.get_run(state["run_id"])
    assert run.info.run_name == "first"
    assert client.get_experiment_by_name("screws").experiment_id == run.info.experiment_id
