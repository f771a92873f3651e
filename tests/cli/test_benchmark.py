"""``bigan benchmark`` as a user meets it: real small runs on the bundled digits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bigan_cli.config.load import load_config
from bigan_cli.data.prepare import open_dataset, prepare
from bigan_cli.detect.baselines import baseline_scores
from bigan_cli.detect.metrics import auroc
from bigan_cli.main import main

_SETTINGS = {
    "model.latent_dim": 4,
    "model.options.feature_maps_gen": 4,
    "model.options.feature_maps_disc": 4,
    "output.probe_images": 1,
}
SMALL = [*(w for k, v in _SETTINGS.items() for w in ("--set", f"{k}={v}")), "--device", "cpu"]
TINY = [*SMALL, "--set", "train.epochs=1"]
GRID = [*("--dataset", "digits", "--inlier", "1", "--seed", "0", "--seed", "1"), *TINY]

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
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    words = ["benchmark", *GRID, "--baselines", "--jobs", "2", "--output", str(folder)]
    assert main(words) == 0
    return folder


def test_a_row_says_all_about_its_run(done):
    first, second = rows_of(done)
    assert (first["cell"], second["cell"]) == ("digits-1-s0", "digits-1-s1")
    assert first["protocol"] == "one-class"
    assert first["normal_classes"] == ["1"]
    assert first["anomalous_classes"] == [c for c in "0123456789" if c != "1"]
    assert (first["seed"], first["preset"], first["variant"]) == (0, None, None)
    assert (first["device"], first["precision"], first["epochs"]) == ("cpu", "fp32", 1)
    assert 0.5 < first["auroc"] <= 1
    assert 0.5 < first["untrained_auroc"] <= 1
    assert first["average_precision"] > first["prevalence"] > 0.8
    assert "reconstruction" in first["components"]
    assert first["training_seconds"] > 0
    assert first["images_per_second"] > 0
    assert first["peak_memory_bytes"] > 2**20
    assert first["data_fingerprint"] != second["data_fingerprint"]
    assert first["versions"].keys() == {"bigan", "torch", "python"}
    assert "cores" in first["machine"]
    assert first["threads"] == 1
    evaluation = json.loads((done / "runs/digits-1-s0/stats/evaluation.json").read_text())
    assert first["auroc"] == evaluation["trained"]["auroc"]["value"]


def test_the_command_of_a_row_repeats_it_anywhere(done):
    row = rows_of(done)[1]
    train, _, evaluate = row["command"].partition(" && ")
    assert evaluate == "bigan evaluate --run digits-1-s1"
    words = train.split()
    assert words[:3] == ["bigan", "train", "--dataset"]
    run = json.loads((done / "runs/digits-1-s1/run.json").read_text())
    given = [word for word in run["argv"] if word != "--json"]
    assert given[:-1] == words[1:-1]  # all but the folder of the run
    assert str(done) not in row["command"]


def test_baselines_see_the_images_of_the_run(done):
    loaded = load_config(file=done / "runs/digits-1-s0/config.toml")
    data = prepare(open_dataset(loaded.registry, loaded.config.data), loaded.config)
    row = rows_of(done)[0]
    assert data.fingerprint == row["data_fingerprint"]
    assert list(row["baselines"]) == ["pca", "neighbours", "isolation_forest", "one_class_svm"]
    for name, found in row["baselines"].items():
        scores = baseline_scores(name, data.fit.pixels, data.test.pixels, seed=0)
        assert found["auroc"] == pytest.approx(auroc(data.test.outlier, scores), abs=1e-9)
        assert found["fitted_to"] == len(data.fit)


def test_tables_of_all_kinds(done):
    with (done / "results.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [line["cell"] for line in table] == ["digits-1-s0", "digits-1-s1"]
    for line, row in zip(table, rows_of(done), strict=True):
        assert float(line["auroc"]) == row["auroc"]
        assert float(line["pca_auroc"]) == row["baselines"]["pca"]["auroc"]
        assert float(line["auroc_of_reconstruction"]) == row["components"]["reconstruction"]
        assert line["command"] == row["command"]
    page = (done / "results.md").read_text()
    mean = sum(row["auroc"] for row in rows_of(done)) / 2
    assert f"| 1 | {mean:.3f} ± " in page
    assert "| normal class | bigan | untrained | PCA | 5-NN | Isolation Forest | OC-SVM |" in page


def test_what_is_finished_is_not_run_again(done, bigan):
    before = files_of(done)
    told = bigan("benchmark", *GRID, "--baselines", "--output", done)
    assert told.code == 0, told.err
    assert told.lines[0].split("\t")[:5] == ["data set", "protocol", "class", "bigan", "untrained"]
    assert told.lines[1].startswith("digits\tone-class\t1\t")
    assert files_of(done) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "train.batch_size=32"], "sets was --set"),
        (["--device", "auto"], "device was cpu, and auto"),
    ],
)
def test_settings_are_not_mixed(done, bigan, words, told):
    before = files_of(done)
    mixed = bigan("benchmark", *GRID, *words, "--output", done)
    assert mixed.code == 2
    assert mixed.err.startswith(f"error: {done} holds results of other settings: ")
    assert told.replace("--set ", "") in mixed.err
    assert "hint: pass another --output" in mixed.err
    assert files_of(done) == before


def test_protocols_are_not_mixed(done, bigan):
    told = bigan("benchmark", "--outlier", "1", *TINY, "--output", done)
    assert told.code == 2
    assert "protocol was one-class, and leave-one-out is asked for" in told.err


def test_a_run_that_fails_is_a_row_and_the_others_go_on(tmp_path, bigan):
    plugin = tmp_path / "few.py"
    plugin.write_text(FEW)
    out = tmp_path / "out"
    words = ["--plugin", plugin, "--dataset", "few", "--inlier", "few", "--inlier", "many", *TINY]
    told = bigan("benchmark", *words, "--output", out)
    assert told.code == 1
    assert "Traceback" not in told.err
    assert told.err.splitlines()[-2].startswith("error: 1 of 2 runs failed: few-few-s0: too few")
    failed, done = rows_of(out)
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert "too few normal images" in failed["error"]
    assert done["auroc"] is not None
    assert "Failed: few-few-s0: too few" in (out / "results.md").read_text()
    plan = bigan("benchmark", *words, "--output", out, "--dry-run")
    assert [line.split("\t")[1] for line in plan.lines[1:]] == ["to be tried again", "finished"]
    assert "1 of 2 runs to do" in plan.err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupted_benchmark_goes_on(tmp_path, bigan):
    out = tmp_path / "out"
    words = ["benchmark", "--dataset", "digits", "--inlier", "0", *SMALL, "--output", str(out)]
    words += ["--set", "train.epochs=200", "--set", "output.save_interval=200"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bigan_cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = out / "logs/digits-0-s0.log"
    deadline = time.monotonic() + 100
    while not (log.exists() and "epoch 3/" in log.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    told, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert told == ""
    assert "Traceback" not in said + log.read_text()
    assert "1 run of 1 to go" in said
    assert rows_of(out) == []
    run = json.loads((out / "runs/digits-0-s0/run.json").read_text())
    assert run["status"] == "interrupted"
    assert 3 <= run["epoch"] < 200

    assert "to be resumed" in bigan(*words, "--dry-run").out
    assert bigan(*words).code == 0
    assert "$ bigan train --resume" in log.read_text()
    assert log.read_text().count("epoch 3/200 ") == 1
    (row,) = rows_of(out)
    assert (row["status"], row["epochs"]) == ("done", 200)


def plan_of(bigan, *words):
    told = bigan("benchmark", *words, "--dry-run", "--json")
    assert told.code == 0, told.err
    return json.loads(told.out)["cells"]


def test_a_plan_of_everything(bigan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variants = ["--variant", "plain=", "--variant", "short=--set train.epochs=3 --set train.lr=0.1"]
    words = ["--dataset", "fashion-mnist", "--dataset", "digits", "--seed", "0", "--seed", "7"]
    cells = plan_of(bigan, *words, *variants, "--preset", "paper")
    assert len(cells) == 2 * 10 * 2 * 2
    assert {cell["state"] for cell in cells} == {"new"}
    names = [cell["cell"] for cell in cells]
    assert names[0] == "fashion_mnist-t-shirt-top-s0-paper-plain"
    assert names[-1] == "digits-9-s7-paper-short"
    assert "--inlier T-shirt/top --seed 0 --preset paper" in cells[0]["command"]
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
    assert "--config run.toml" in cell["command"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dataset", "fashion-mnst"], "unknown data set 'fashion-mnst'"),
        (["--inlier", "12"], "inlier 12 is not a class of digits (0-9)"),
        (["--inlier", "1", "--outlier", "2"], "--inlier and --outlier exclude each other"),
        (["--set", "train.epoch=1"], "--set: unknown key 'epoch' in [train]"),
        (["--set", "epochs"], "--set epochs: not TABLE.KEY=VALUE"),
        (["--set", "train.seed=3"], "--set train.seed=3 has no place in a benchmark"),
        (["--variant", "short"], "--variant short: not NAME=OPTIONS"),
        (["--variant", "a=--epochs 3"], "--variant a may hold --set TABLE.KEY=VALUE only"),
        (["--variant", "a=--set train.lr=x"], "train.lr must be a number"),
        (["--variant", "a='"], "--variant a: No closing quotation"),
        (["--variant", "a=", "--variant", "a="], "there are two variants called a"),
        (["--device", "mps"], "mps"),
        (["--jobs", "0"], "--jobs"),
        (["-c", "none.toml"], "none.toml"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(bigan, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    failed = bigan("benchmark", *words)
    assert failed.code == 2
    assert failed.out == ""
    first = failed.err.splitlines()[0]
    assert first.startswith("error: ")
    assert told in first
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_files_are_left_alone(bigan, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    told = bigan("benchmark", "--output", tmp_path)
    assert told.code == 2
    assert f"error: {tmp_path} holds other files (thesis.tex, ...), and no benchmark" in told.err


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 1, "cells": 3, "settings": {}}'])
def test_damaged_results_are_told(bigan, tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    told = bigan("benchmark", "--output", tmp_path)
    assert told.code == 2
    assert "results.json is damaged, or no result of bigan benchmark" in told.err


def test_baselines_of_no_run(bigan, tmp_path):
    told = bigan("benchmark", "--baselines-of", tmp_path)
    assert told.code == 2
    assert f"error: no run in {tmp_path}" in told.err
