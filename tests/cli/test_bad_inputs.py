"""What users get wrong: one clear message, the right exit code, nothing written.

``--json`` keeps standard output empty on failure, so that is checked in every case.
"""

import shutil
from pathlib import Path

import pytest
import torch


@pytest.fixture
def refused(bigan, tmp_path, monkeypatch):
    """Run a command that must fail, in an empty folder; return what it says."""
    monkeypatch.chdir(tmp_path)

    def run(code, *words):
        before = sorted(path for path in tmp_path.rglob("*"))
        outcome = bigan(*words)
        assert outcome.code == code, outcome.err
        assert outcome.out == ""
        assert "Traceback" not in outcome.err
        assert sorted(path for path in tmp_path.rglob("*")) == before
        return outcome.err

    return run


def write(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_01_misspelt_data_set(refused):
    error = refused(2, "train", "--dataset", "fashion-mnst", "--json")
    assert "error: unknown dataset 'fashion-mnst'" in error
    assert "did you mean 'fashion_mnist'?" in error
    assert "'bigan datasets' lists all" in error


def test_02_class_that_is_not_there(refused):
    error = refused(2, "train", "--inlier", "12")
    assert "inlier 12 is not a class of digits" in error
    assert "0-9" in error


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has a Metal GPU")
def test_03_device_that_is_not_there(refused):
    error = refused(2, "train", "--device", "mps")
    assert "device 'mps' requested, but this machine has no Metal GPU (available: " in error
    assert "hint: use --device auto" in error


@pytest.mark.skipif(torch.cuda.device_count() > 3, reason="this machine has four CUDA GPUs")
def test_04_gpu_number_that_is_not_there(refused):
    error = refused(2, "train", "--device", "cuda:3")
    assert "cuda:3" in error
    assert "no CUDA GPU" in error or "does not exist" in error


def test_05_misspelt_key(refused):
    Path("run.toml").write_text("[train]\nepoch = 5\n")
    error = refused(2, "train", "-c", "run.toml")
    assert "error: run.toml: unknown key 'epoch' in [train]" in error
    assert "hint: did you mean 'epochs'?" in error


def test_06_wrong_types_all_at_once(refused):
    Path("run.toml").write_text('[train]\nlr = "fast"\nepochs = 1.5\n[data]\nimage_size = "big"\n')
    error = refused(2, "train", "-c", "run.toml")
    assert "run.toml: train.lr must be a number" in error
    assert 'got "fast"' in error
    assert error.count("error:") == 3


def test_07_broken_toml(refused):
    Path("run.toml").write_text("[train]\nepochs = = 5\n")
    error = refused(2, "train", "-c", "run.toml")
    assert "run.toml:2:10: " in error
    assert "epochs = = 5" in error
    assert "^" in error


def test_08_not_toml(refused):
    Path("run.yaml").write_text("train:\n  epochs: 5\n")
    error = refused(2, "train", "-c", "run.yaml")
    assert "run.yaml is not TOML" in error
    assert "'bigan config init' writes a template" in error


def test_09_used_run_directory(refused, trained):
    error = refused(2, "train", "--save-dir", trained)
    assert "already holds a run (epoch " in error
    assert "--resume, --overwrite, or --save-dir trained-2" in error


@pytest.mark.parametrize("command", ["score", "evaluate", "reconstruct", "report", "animate"])
def test_10_no_run_yet(refused, command):
    error = refused(2, command, *(["."] if command == "score" else []))
    assert "no run in results (run.json missing)" in error
    assert "hint: train one, or name it with --run DIR" in error


def test_11_no_images(refused, trained):
    Path("docs").mkdir()
    write("docs/notes.txt", "no image")
    error = refused(1, "score", "docs", "--run", trained)
    assert "no images under docs (looked for .png .apng .jpg .jpeg " in error


def test_12_damaged_image(bigan, trained, pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "images"))
    some = sorted(folder.glob("*.png"))
    some[3].write_bytes(some[3].read_bytes()[:60])
    outcome = bigan("score", folder, "--run", trained)
    assert outcome.code == 4
    assert f"warning: skipped {some[3]}: " in outcome.err
    assert len(outcome.lines) == 1 + 150
    assert bigan("score", folder, "--run", trained, "--strict").code == 1


def test_13_colour_photos_on_a_grey_model(bigan, refused, trained, tmp_path):
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    outcome = bigan("score", tmp_path / "red.png", "--run", trained)
    assert outcome.code == 0
    assert "converted from RGB to grey" in outcome.err
    assert "resized to 8x8" in outcome.err


def test_14_no_data_and_no_network(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    words = ["train", "--dataset", "mnist", "--no-download", "--data-root", "empty"]
    error = refused(1, *words)
    assert "train-images-idx3-ubyte" in error
    assert "empty" in error
    assert "--data-root" in error


def test_15_diverged_training_names_the_step(bigan, tmp_path, small_options):
    weight = "train.reconstruction_weight=1e39"  # beyond single precision
    outcome = bigan("train", *small_options, "--set", weight, "--save-dir", tmp_path / "run")
    assert outcome.code == 1
    assert "loss became NaN or infinite at epoch 1, step 1" in outcome.err
    assert "last good checkpoint: " in outcome.err
    assert "hint: lower --lr" in outcome.err


def test_images_without_a_data_set_that_reads_them_are_refused(bigan, tmp_path):
    outcome = bigan("train", "--data-root", tmp_path, "--save-dir", tmp_path / "run")
    assert outcome.code == 2
    assert "--data-root without --dataset: digits, the default, reads no files" in outcome.err
    assert "--dataset folder" in outcome.err
    assert not (tmp_path / "run").exists()
