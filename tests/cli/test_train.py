"""``bigan train`` as a user meets it: real runs on the bundled digits."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from bigan_cli.cli.main import main

FAST = [
    *("--outlier", "8", "--epochs", "2", "--save-interval", "2", "--device", "cpu"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--latent-dim", "8"),
]


def bigan(*arguments):
    return main(["train", *map(str, arguments)])


def models_of(folder):
    return {
        file.name: load_file(file) for file in sorted((folder / "models").glob("*.safetensors"))
    }


def metrics_of(folder):
    text = (folder / "stats/metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def assert_same_models(one, two):
    one, two = models_of(one), models_of(two)
    assert one.keys() == two.keys()
    for name, tensors in one.items():
        for key, value in tensors.items():
            assert value.tobytes() == two[name][key].tobytes(), f"{name}: {key}"


def test_the_documented_layout(trained):
    names = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    pictures = {
        f"reconstruction/{kind}/epoch-{epoch:04d}.png"
        for kind in ("comparison", "fake", "true", "test")
        for epoch in (0, 2)
    }
    models = {"best", "last", "epoch-0000", "epoch-0002"}
    assert names == {
        ".lock",
        "config.toml",
        "files.txt",
        "run.json",
        "stats/metrics.jsonl",
        "stats/losses.png",
        "models/training-state.pt",
        *(f"models/{name}.safetensors" for name in models),
        *pictures,
    }


def test_the_run_describes_itself(trained):
    info = json.loads((trained / "run.json").read_text())
    assert info["status"] == "done"
    assert (info["epoch"], info["epochs"]) == (2, 2)
    assert info["data"]["protocol"] == "leave-one-out"
    assert info["data"]["images"]["test"] > 174
    assert len(info["data"]["fingerprint"]) == 64
    records = metrics_of(trained)
    assert [r["epoch"] for r in records] == [1, 2]
    best = min(records, key=lambda r: r["validation"])
    assert info["best_epoch"] == best["epoch"]


def test_probe_pictures_show_the_same_images_every_time(trained):
    below = set()
    for path in (trained / "reconstruction/true").iterdir():
        with Image.open(path) as picture:
            # Only the heading differs: everything below it is the same to the pixel.
            below.add(picture.crop((0, 40, picture.width, picture.height)).tobytes())
    assert len(below) == 1
    fake = {path.read_bytes() for path in (trained / "reconstruction/fake").iterdir()}
    assert len(fake) == 2


def test_the_resolved_configuration_repeats_the_run(trained, tmp_path):
    again = tmp_path / "again"
    assert bigan("-c", trained / "config.toml", "--save-dir", again) == 0
    one, two = (json.loads((f / "run.json").read_text()) for f in (trained, again))
    assert one["data"] == two["data"]
    assert_same_models(trained, again)


@pytest.fixture
def start(start_bigan):
    """Start a real process and wait until it has trained three epochs."""

    def run(folder):
        process = start_bigan("train", *LONGER, "--save-dir", folder)
        process.wait_for("epoch 3/")
        return process

    return run


LONGER = [*FAST, "--epochs", "12", "--save-interval", "4"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert bigan(*LONGER, "--save-dir", folder) == 0
    return folder


@pytest.fixture
def heeds_hangups():
    """Let child processes have the default for SIGHUP, which under nohup is ignored."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)  # what is handled is not inherited
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_resumes_bit_identically(start, whole, tmp_path, sent):
    folder = tmp_path / "run"
    process = start(folder)
    process.send_signal(getattr(signal, sent))
    assert process.end() == 130, process.err
    rest = process.err
    assert "Traceback" not in rest
    assert f"bigan train --resume --save-dir {folder}" in rest
    info = json.loads((folder / "run.json").read_text())
    assert info["status"] == "interrupted"
    assert 3 <= info["epoch"] < 12
    # Some steps of an epoch later, the best networks are still those of the best epoch.
    state = torch.load(folder / "models/training-state.pt", weights_only=True)
    best = models_of(folder)["best.safetensors"]
    for name, weights in state["best_weights"].items():
        if (kept := best.get(f"members.0.networks.{name}")) is not None:
            assert kept.tobytes() == weights.numpy().tobytes(), name
    assert any(name.startswith("members.0.networks.generator.") for name in best)
    assert bigan("--resume", "--save-dir", folder) == 0
    assert_same_models(whole, folder)
    one, two = (
        [(r["epoch"], r["losses"], r["validation"], r["best"]) for r in metrics_of(f)]
        for f in (whole, folder)
    )
    assert one == two


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
@pytest.mark.usefixtures("heeds_hangups")
def test_a_closed_terminal_loses_nothing(whole, tmp_path):
    folder = tmp_path / "run"
    terminal, other_end = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bigan_cli", "train", *LONGER, "--save-dir", str(folder)],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    os.close(other_end)
    metrics = folder / "stats/metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and len(metrics_of(folder)) >= 3) and time.monotonic() < deadline:
        with suppress(BlockingIOError, OSError):
            os.read(terminal, 65536)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)  # as the shell of the terminal does
    process.wait(timeout=60)
    info = json.loads((folder / "run.json").read_text())
    assert info["status"] == "interrupted"
    assert bigan("--resume", "--save-dir", folder) == 0
    assert_same_models(whole, folder)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_impatience_says_what_it_costs_and_how_to_go_on(start, whole, tmp_path):
    folder = tmp_path / "run"
    process = start(folder)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)  # while all work is being saved
    process.send_signal(signal.SIGINT)
    assert process.end() == 130, process.err
    rest = process.err
    assert "Traceback" not in rest
    assert f"bigan train --resume --save-dir {folder}" in rest
    assert bigan("--resume", "--save-dir", folder) == 0
    assert_same_models(whole, folder)


def test_few_steps_are_told_of(tmp_path, capsys):
    assert bigan(*FAST, "--epochs", "1", "--dry-run", "--save-dir", tmp_path / "run") == 0
    assert "too few to learn much: raise --epochs" in capsys.readouterr().err
    assert bigan(*FAST, "--epochs", "30", "--dry-run", "--save-dir", tmp_path / "more") == 0
    assert "too few to learn much" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_run_resumes_bit_identically(start, whole, tmp_path):
    folder = tmp_path / "run"
    process = start(folder)
    process.send_signal(signal.SIGKILL)
    assert process.end() == -signal.SIGKILL
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    assert bigan("--resume", "--save-dir", folder) == 0
    assert_same_models(whole, folder)


def test_more_epochs_on_resume(tmp_path, capsys):
    folder = tmp_path / "run"
    assert bigan(*FAST, "--epochs", "1", "--save-dir", folder) == 0
    # How steps are prepared may change as well: it may be what stopped the run.
    capsys.readouterr()
    more = ("--epochs", "2", "--compile", "off", "--json")
    assert bigan("--resume", *more, "--save-dir", folder) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["run"]) == ("done", str(folder))
    assert json.loads((folder / "run.json").read_text())["epoch"] == 2
    assert bigan("--resume", "--latent-dim", "7", "--save-dir", folder) == 2
    assert "cannot change model.latent_dim on resume (8 -> 7)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_from_before_its_architecture_had_an_option_goes_on(tmp_path):
    folder = tmp_path / "run"
    assert bigan(*FAST, "--epochs", "2", "--save-dir", folder) == 0
    config = folder / "config.toml"
    lines = config.read_text().splitlines()
    gained = ('initialisation = "orthogonal"', 'selection = "validation"')
    earlier = [line for line in lines if line not in gained]
    assert len(earlier) == len(lines) - 2
    config.write_text("\n".join(earlier) + "\n")
    assert bigan("--resume", "--epochs", "3", "--save-dir", folder) == 0
    # What was left out is written in as it was by default.
    assert 'initialisation = "orthogonal"' in config.read_text()


@pytest.mark.slow
def test_the_last_epoch_is_scored_with_where_that_is_asked_for(tmp_path, capsys):
    folder = tmp_path / "run"
    words = ("--epochs", "3", "--lr", "0.05", "--set", "train.selection=last")
    assert bigan(*FAST, *words, "--save-dir", folder) == 0
    assert "; last epoch 3 (validation" in capsys.readouterr().err
    best, last = (models_of(folder)[f"{name}.safetensors"] for name in ("best", "last"))
    assert {name: value.tobytes() for name, value in best.items()} == {
        name: value.tobytes() for name, value in last.items()
    }


def test_nothing_to_resume(tmp_path, capsys):
    assert bigan("--resume", "--save-dir", tmp_path / "none") == 2
    assert "no run in" in capsys.readouterr().err


def test_a_used_directory_is_left_alone(trained, capsys):
    before = models_of(trained)
    assert bigan(*FAST, "--save-dir", trained) == 2
    captured = capsys.readouterr()
    assert "already holds a run (epoch 2/2, done)" in captured.err
    assert "--resume, --overwrite, or --save-dir trained-2" in captured.err
    assert models_of(trained).keys() == before.keys()


def test_overwrite_removes_the_old_run_and_nothing_else(run, capsys):
    folder = run
    (folder / "notes.txt").write_text("mine")
    assert bigan(*FAST, "--epochs", "1", "--overwrite", "--save-dir", folder) == 0
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "models/epoch-0002.safetensors").exists()
    # Off a terminal there is one plain line an epoch, and the run on standard output.
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("epoch ")]
    pattern = r"epoch 1/1 d_loss=\S+ eg_loss=\S+ image_cycle=\S+ validation=\S+ \S+s"
    assert re.match(pattern, line)
    assert "\x1b" not in captured.err
    assert captured.out == f"{folder}\n"


def test_dry_run_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bigan(*FAST, "--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["config"]["data"]["image_size"] == 8
    totals = [row for row in document["layers"] if row["kind"] == "total"]
    parts = ["encoder", "generator", "discriminator", "heads"]
    assert [row["name"] for row in totals] == parts
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "head"),
    [
        ("shift_weight", "0.5", "shift"),
        ("flip_weight", "0.5", "flip"),
        ("augmentations", '["colour", "translation", "cutout"]', None),
    ],
)
def test_a_run_with_each_further_key(trained, tmp_path, capsys, key, value, head):
    folder = tmp_path / "run"
    words = [*FAST, "--epochs", "2", "--set", f"train.{key}={value}"]
    weighted = [*words, "--set", f"score.weights.{head}=1.0"] if head else words
    assert bigan(*weighted, "--save-dir", folder) == 0
    assert any(f"{key} = " in line for line in (folder / "config.toml").read_text().splitlines())
    losses = metrics_of(folder)[-1]["losses"]
    usual = metrics_of(trained)[1]["losses"]
    assert losses["d_loss"] != usual["d_loss"]
    assert {name for name in ("shift", "flip") if losses[name] > 0} == ({head} - {None})

    pictures = folder / "reconstruction"
    capsys.readouterr()
    assert main(["score", str(pictures), "--run", str(folder), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(({"shift", "flip"} & row["components"].keys()) == ({head} - {None}) for row in rows)
    # Where one class is the anomaly, the heads are only reported.
    assert bigan(*words, "--save-dir", tmp_path / "other") == 0
    capsys.readouterr()
    assert main(["score", str(pictures), "--run", str(tmp_path / "other"), "--json"]) == 0
    others = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    same = [a["score"] == b["score"] for a, b in zip(rows, others, strict=True)]
    assert all(same) if head is None else not any(same)


def test_divergence_keeps_the_last_good_checkpoint(tmp_path, capsys):
    folder = tmp_path / "run"
    # Too large for single precision: the gradients become infinite in the first step.
    code = bigan(*FAST, "--set", "train.reconstruction_weight=1e39", "--save-dir", folder)
    error = capsys.readouterr().err
    assert code == 1, error
    assert "loss became NaN or infinite at epoch 1, step 2" in error
    assert "last good checkpoint" in error
    assert "lower --lr (0.0004)" in error
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"


def test_too_few_calibration_images_for_the_rate(tmp_path, capsys):
    assert bigan(*FAST, "--fpr", "0.001", "--save-dir", tmp_path / "run") == 2
    assert "needs at least 999 calibration images" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_bounded_number_of_models_is_kept(tmp_path):
    folder = tmp_path / "run"
    words = (*FAST, "--save-interval", "1", "--save-dir", folder)

    def kept():
        return {file.stem for file in (folder / "models").glob("*.safetensors")}

    assert bigan(*words, "--epochs", "4", "--set", "output.keep_models=2") == 0
    assert kept() == {"epoch-0000", "epoch-0003", "epoch-0004", "best", "last"}
    assert bigan("--resume", "--members", "2", "--save-dir", folder) == 0
    assert kept() == {"epoch-0000", "epoch-0003", "epoch-0004", "best", "last"}
    both = models_of(folder)["epoch-0003.safetensors"]
    assert any(name.startswith("members.1.") for name in both)
    none = ("--set", "output.keep_models=0", "--epochs", 5)
    assert bigan("--resume", "--save-dir", folder, *none) == 0
    assert kept() == {"epoch-0000", "best", "last"}
    assert len(list((folder / "reconstruction/comparison").iterdir())) == 6


def test_the_time_it_takes_is_said_and_changes_nothing(tmp_path, capsys, monkeypatch):
    assert bigan(*FAST, "--save-dir", tmp_path / "one") == 0
    said = capsys.readouterr().err
    assert re.search(r"training steps take about [\d.]+s \(2 epochs of \d+ steps\)", said)
    assert said.index("training steps take") < said.index("epoch 1/2")
    monkeypatch.setattr("bigan_cli.workflows.train.expected_time", lambda _setup: "")
    assert bigan(*FAST, "--save-dir", tmp_path / "two") == 0
    assert_same_models(tmp_path / "one", tmp_path / "two")
