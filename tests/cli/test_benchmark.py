"""``bigan benchmark`` as a user meets it: real small runs on the bundled digits."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.cli.main import main
from bigan_cli.config.load import load_config
from bigan_cli.config.sources import flatten
from bigan_cli.data.prepare import open_dataset, prepare
from bigan_cli.evaluation.baselines import baseline_scores
from bigan_cli.evaluation.metrics import auroc
from bigan_cli.storage.run_directory import RunDirectory

# Half a dozen processes import PyTorch.
pytestmark = pytest.mark.timeout(600)

_SETTINGS = {
    "model.latent_dim": 4,
    "model.options.feature_maps_gen": 4,
    "model.options.feature_maps_disc": 4,
    "output.preview_images": 1,
}
SMALL = [*(w for k, v in _SETTINGS.items() for w in ("--set", f"{k}={v}")), "--device", "cpu"]
TINY = [*SMALL, "--set", "train.epochs=1"]

FEW = """
import numpy as np
from bigan_cli.contracts import Dataset, ImageShape, Items
from bigan_cli.hookspecs import hookimpl

class Few(Dataset):
    name = "few"
    summary = "many of one kind, few of another"
    class_names = ("many", "few")
    image_shape = ImageShape(1, 8, 8)

    def _items(self, many, few):
        labels = np.repeat([0, 1], [many, few])
        draw = np.random.default_rng(0).integers(0, 256, (many + few, 8, 8), np.uint8)
        return Items(draw, labels=labels)

    def train_items(self):
        return self._items(120, 3)

    def test_items(self):
        return self._items(8, 8)

@hookimpl
def bigan_datasets():
    return [Few]
"""


def rows_of(folder):
    return json.loads((folder / "results.json").read_text())["cells"]


def files_of(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Return the arguments: class 1 of the digits, with a plugin that is not used."""
    plugin = tmp_path_factory.mktemp("plugin") / "few.py"
    plugin.write_text(FEW)
    words = ["--plugin", str(plugin), "--dataset", "digits", "--inlier", "1", "--seed", "3"]
    return [*words, *TINY]


@pytest.fixture(scope="module")
def done(grid, tmp_path_factory):
    """Return the folder of a benchmark of one run."""
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    assert main(["benchmark", *grid, "--baselines", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def row(done):
    (row,) = rows_of(done)
    return row


@pytest.mark.slow
def test_a_run_that_fails_is_a_row_and_the_others_go_on(bigan, grid, tmp_path):
    folder, grid = tmp_path / "out", ["--dataset", "few", *grid]
    command = [sys.executable, "-m", "bigan_cli", "benchmark", *grid, "--jobs", "2"]
    ended = subprocess.run(
        [*command, "--output", str(folder)], capture_output=True, text=True, check=False
    )
    failed, done = rows_of(folder)
    assert (failed["cell"], failed["status"]) == ("few-few-s3", "failed")
    assert failed["error"].startswith("too few normal images to train on: 3 of few")
    assert (done["cell"], done["status"], done["error"]) == ("digits-1-s3", "done", None)
    assert ended.returncode == 1
    *lines, error, hint = ended.stderr.splitlines()
    assert error.startswith("error: 1 of 2 runs failed: few-few-s3: too few normal images")
    assert hint == f"hint: see {folder / 'logs'}; the same command tries them again"
    assert "ERROR too few normal images" in (folder / "logs/few-few-s3.log").read_text()
    assert any(line.startswith("run 1/2 few-few-s3 failed: too few") for line in lines)
    assert any(line.startswith("run 2/2 digits-1-s3 auroc=") for line in lines)
    assert "Failed: few-few-s3: too few" in (folder / "results.md").read_text()
    with (folder / "results.csv").open(newline="") as stream:
        line, _ = csv.DictReader(stream)
    assert (line["cell"], line["status"], line["auroc"]) == ("few-few-s3", "failed", "")
    _, few, digits = (text.split("\t") for text in ended.stdout.splitlines())
    assert few == ["few", "few", "", ""]
    assert digits[:3] == ["digits", "1", f"{done['auroc']:.3f}"]
    plan = bigan("benchmark", *grid, "--output", folder, "--dry-run")
    assert [line.split("\t")[1] for line in plan.lines[1:]] == ["to be tried again", "finished"]
    assert "1 of 2 runs to do" in plan.err


def test_a_row_says_all_about_its_run(done, row):
    assert row["protocol"] == "one-class"
    assert row["normal_classes"] == ["1"]
    assert row["anomalous_classes"] == [c for c in "0123456789" if c != "1"]
    assert (row["seed"], row["preset"], row["variant"]) == (3, None, None)
    assert (row["device"], row["precision"], row["epochs"]) == ("cpu", "fp32", 1)
    assert 0.5 < row["auroc"] <= 1
    assert 0.5 < row["untrained_auroc"] <= 1
    assert row["average_precision"] > row["prevalence"] > 0.8
    assert "reconstruction" in row["components"]
    assert row["training_seconds"] > 0
    assert row["images_per_second"] > 0
    assert row["peak_memory_bytes"] > 2**20
    assert len(row["data_fingerprint"]) == 64
    assert row["versions"].keys() == {"bigan", "torch", "python"}
    assert "cores" in row["machine"]
    assert row["threads"] == 1
    evaluation = json.loads((done / "runs/digits-1-s3/stats/evaluation.json").read_text())
    assert row["auroc"] == evaluation["trained"]["auroc"]["value"]


def test_the_command_of_a_row_repeats_it_anywhere(done, row, bigan, grid, tmp_path, monkeypatch):
    shutil.copy(grid[1], tmp_path)
    monkeypatch.chdir(tmp_path)
    train, _, evaluate = row["command"].partition(" && ")
    assert evaluate == "bigan evaluate --run digits-1-s3"
    assert "/" not in row["command"]
    plan = bigan(*shlex.split(train)[1:], "--dry-run", "--json")
    assert plan.code == 0, plan.err
    repeated = json.loads(plan.out)["config"]
    with (done / "runs/digits-1-s3/config.toml").open("rb") as stream:
        config = tomllib.load(stream)
    assert repeated["output"].pop("save_dir") == "digits-1-s3"
    assert config["output"].pop("save_dir") == str(done / "runs/digits-1-s3")
    assert (repeated.pop("plugins"), config.pop("plugins")) == (
        [str(tmp_path / "few.py")],
        grid[1:2],
    )
    assert [str(name) for name in repeated["data"].pop("inlier")] == config["data"].pop("inlier")
    repeated_values, values = dict(flatten(repeated)), dict(flatten(config))
    assert {key: repeated_values[key] for key in values if key[0] != "schema"} == {
        key: value for key, value in values.items() if key[0] != "schema"
    }


def test_baselines_see_the_images_of_the_run(done, row):
    loaded = load_config(file=done / "runs/digits-1-s3/config.toml")
    data = prepare(open_dataset(loaded.registry, loaded.config.data), loaded.config)
    assert data.fingerprint == row["data_fingerprint"]
    assert list(row["baselines"]) == ["pca", "neighbours", "isolation_forest", "one_class_svm"]
    for name, found in row["baselines"].items():
        scores = baseline_scores(name, data.train.pixels, data.test.pixels, seed=3)
        assert found["auroc"] == pytest.approx(auroc(data.test.outlier, scores), abs=1e-9)
        assert found["fitted_to"] == len(data.train)


def test_tables_of_all_kinds(done, row):
    with (done / "results.csv").open(newline="") as stream:
        (line,) = csv.DictReader(stream)
    assert float(line["auroc"]) == row["auroc"]
    assert float(line["pca_auroc"]) == row["baselines"]["pca"]["auroc"]
    assert float(line["auroc_of_reconstruction"]) == row["components"]["reconstruction"]
    assert line["command"] == row["command"]
    page = (done / "results.md").read_text()
    assert f"| 1 | {row['auroc']:.3f} | {row['untrained_auroc']:.3f} | " in page
    assert "| normal class | bigan | untrained | PCA | 5-NN | Isolation Forest | OC-SVM |" in page


def test_what_is_finished_is_not_run_again(done, bigan, grid):
    before = files_of(done)
    outcome = bigan("benchmark", *grid, "--output", done)
    assert outcome.code == 0, outcome.err
    assert files_of(done) == before
    plan = bigan("benchmark", *grid, "--output", done, "--dry-run")
    assert [line.split("\t")[1] for line in plan.lines[1:]] == ["finished"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "train.lr=0.1"], "train.epochs=1, and is now "),
        (["--device", "auto"], "device was cpu, and is now auto"),
    ],
)
def test_settings_are_not_mixed(done, bigan, grid, words, message):
    before = files_of(done)
    mixed = bigan("benchmark", *grid, *words, "--output", done)
    assert mixed.code == 2
    assert mixed.err.startswith(f"error: {done} has results with other settings: ")
    assert message in mixed.err
    assert "hint: choose another output folder" in mixed.err
    assert files_of(done) == before


def test_protocols_are_not_mixed(done, bigan, grid):
    other = ["--outlier" if word == "--inlier" else word for word in grid]
    outcome = bigan("benchmark", *other, "--output", done)
    assert outcome.code == 2
    assert "protocol was one-class, and is now leave-one-out" in outcome.err


@pytest.fixture
def long_run(tmp_path):
    """Return a folder, the arguments of a benchmark of one longer run, and a function.

    It starts the benchmark in a session of its own, and returns once epoch *epoch* has ended.
    """
    out = tmp_path / "out"
    words = ["benchmark", "--dataset", "digits", "--outlier", "8", *SMALL, "--output", str(out)]
    words += ["--set", "train.epochs=7", "--set", "output.save_interval=1"]
    log = out / "logs/digits-not-8-s0.log"

    def start(epoch, *, prefix=()):
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "bigan_cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while not (log.exists() and f"epoch {epoch}/" in log.read_text()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        return process

    return out, words, start


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_benchmark_is_resumed(long_run, bigan):
    out, words, start = long_run
    process = start(3)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert output == ""
    log = out / "logs/digits-not-8-s0.log"
    assert "Traceback" not in errors + log.read_text()
    assert "1 run of 1 to go" in errors
    assert rows_of(out) == []
    run = json.loads((out / "runs/digits-not-8-s0/run.json").read_text())
    assert run["status"] == "interrupted"
    assert 3 <= run["epoch"] < 7

    assert "to be resumed" in bigan(*words, "--dry-run").out
    assert bigan(*words).code == 0
    assert log.read_text().count("epoch 3/7 ") == 1
    (row,) = rows_of(out)
    assert (row["status"], row["epochs"]) == ("done", 7)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_benchmark_is_resumed_at_once_and_survives_a_closed_terminal(long_run):
    out, _, start = long_run
    killed = start(2)
    killed.kill()
    killed.communicate()
    process = start(4, prefix=["nohup"])
    os.killpg(process.pid, signal.SIGHUP)  # as a terminal that is closed does
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    (row,) = rows_of(out)
    assert (row["status"], row["epochs"]) == ("done", 7)
    log = (out / "logs/digits-not-8-s0.log").read_text()
    assert log.count("epoch 1/7 ") == 1  # resumed, not started again


def plan_of(bigan, *words):
    outcome = bigan("benchmark", *words, "--dry-run", "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)["cells"]


@pytest.mark.slow
def test_normals_alone_make_a_benchmark(tmp_path, bigan):
    normal = np.random.default_rng(0).integers(0, 256, (120, 8, 8), np.uint8)
    (tmp_path / "good").mkdir()
    for number, pixels in enumerate(normal):
        Image.fromarray(pixels).save(tmp_path / "good" / f"{number}.png")
    words = ["--dataset", "folder", "--data-root", tmp_path / "good", *TINY]
    done = bigan("benchmark", *words, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    (row,) = rows_of(tmp_path / "out")
    assert (row["status"], row["auroc"]) == ("done", None)


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_says_what_to_do(done, bigan, grid, tmp_path):
    out = Path(shutil.copytree(done, tmp_path / "out"))
    run = RunDirectory(out / "runs/digits-1-s3")
    run.write_info(status="interrupted")
    run.training_state(0).write_bytes(b"not a state")
    found = json.loads((out / "results.json").read_text())
    (out / "results.json").write_text(json.dumps({**found, "cells": []}))
    again = bigan("benchmark", *grid, "--output", out)
    assert again.code == 1
    assert f"to start the run again, delete {run.path}" in again.err


def test_a_plan_of_everything(bigan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variants = ["--variant", "plain=", "--variant", "short=--set train.epochs=3 --set train.lr=0.1"]
    words = ["--dataset", "fashion-mnist", "--dataset", "digits", "--seed", "0", "--seed", "7"]
    cells = plan_of(bigan, *words, *variants, "--preset", "fast")
    assert len(cells) == 2 * 10 * 2 * 2
    assert {cell["state"] for cell in cells} == {"new"}
    names = [cell["cell"] for cell in cells]
    assert names[0] == "fashion_mnist-t-shirt-top-s0-fast-plain"
    assert names[-1] == "digits-9-s7-fast-short"
    assert "--inlier T-shirt/top --seed 0 --preset fast" in cells[0]["command"]
    assert "--set train.epochs=3 --set train.lr=0.1" in cells[-1]["command"]
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_leave_one_out(bigan, tmp_path):
    cells = plan_of(bigan, "--outlier", "all", "--output", tmp_path / "out")
    assert [cell["cell"] for cell in cells] == [f"digits-not-{k}-s0" for k in range(10)]
    assert "--outlier 9 --seed 0" in cells[9]["command"]


def test_a_run_file_decides_what_is_not_asked_for(bigan, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[data]\ndataset = 'mnist'\ninlier = [3, 5]\n[train]\nseed = 4\n")
    (cell,) = plan_of(bigan, "-c", file, "--output", tmp_path / "out")
    assert cell["cell"] == "mnist-3+5-s4"
    assert "--inlier 3 --inlier 5 --seed 4" in cell["command"]
    assert f"--config {file}" in cell["command"]


def test_planned_commands_name_all_folders(bigan, tmp_path):
    root, out = tmp_path / "my data", tmp_path / "out"
    words = ["--dataset", "mnist", "--inlier", "3", "--data-root", root, "--output", out]
    (cell,) = plan_of(bigan, *words)
    train, evaluate = (shlex.split(part) for part in cell["command"].split(" && "))
    run = str(out / "runs/mnist-3-s0")
    assert train[train.index("--data-root") + 1] == str(root)
    assert train[train.index("--save-dir") + 1] == run
    assert evaluate == ["bigan", "evaluate", "--run", run]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "fashion-mnst"], "unknown dataset 'fashion-mnst'"),
        (["--inlier", "12"], "inlier 12 is not a class of digits (0-9)"),
        (["--inlier", "1", "--outlier", "2"], "--inlier and --outlier exclude each other"),
        (["--set", "train.epoch=1"], "--set: unknown key 'epoch' in [train]"),
        (["--set", "epochs"], "--set epochs: not TABLE.KEY=VALUE"),
        (["--set", "train.seed=3"], "train.seed=3 cannot be a setting of a benchmark's runs"),
        (
            ["--set", "train.preset=fast"],
            "train.preset=fast cannot be a setting of a benchmark's runs",
        ),
        (["--preset", "nosuch"], "--preset must be "),
        (["--preset", "fast", "--preset", "nosuch", "--dry-run"], "--preset must be "),
        (["--variant", "short"], "--variant short: not NAME=OPTIONS"),
        (["--variant", "a=--epochs 3"], "--variant a may hold --set TABLE.KEY=VALUE only"),
        (["--variant", "a=--set train.lr=x"], "train.lr must be a number"),
        (["--variant", "a='"], "--variant a: No closing quotation"),
        (["--variant", "a=", "--variant", "a="], "there are two variants called a"),
        (["--variant", "a/b="], "'a/b' cannot be the name of a variant"),
        (["--device", "mps"], "mps"),
        (["--jobs", "0"], "--jobs"),
        (["-c", "none.toml"], "none.toml"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(bigan, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    failed = bigan("benchmark", *words)
    assert failed.code == 2
    assert failed.out == ""
    first = failed.err.splitlines()[0]
    assert first.startswith("error: ")
    assert message in first
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_files_are_left_alone(bigan, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    outcome = bigan("benchmark", "--output", tmp_path)
    assert outcome.code == 2
    assert f"error: {tmp_path} holds other files (thesis.tex, ...), and no benchmark" in outcome.err


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1, "cells": 3, "settings": {}}'])
def test_damaged_results_are_refused(bigan, tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    outcome = bigan("benchmark", "--output", tmp_path)
    assert outcome.code == 2
    assert "results.json is damaged, or not a result of bigan benchmark" in outcome.err
