"""Paths that do not exist: exit code 2, the path, and a similar name beside it."""

import json
import re
import shutil

import pytest

MISSING = {
    "train --data-root": ("train", "--dataset", "folder", "--data-root", "goood"),
    "train --config": ("train", "--config", "rnu.toml"),
    "train --resume": ("train", "--resume", "--save-dir", "rnu"),
    "train --exclude": ("train", "--dataset", "digits", "--exclude", "list.txtt"),
    "train --roi": ("train", "--dataset", "folder", "--data-root", "good", "--roi", "maks.png"),
    "data check": ("data", "check", "goood"),
    "score": ("score", "goood", "--run", "run"),
    "score --shard": ("score", "goood", "--run", "run", "--shard", "1/2", "--output", "s.csv"),
    "score --run": ("score", "good", "--run", "rnu"),
    "score --checkpoint": (
        "score",
        "good",
        "--run",
        "run",
        "--checkpoint",
        "run/models/bst.safetensors",
    ),
    "evaluate --run": ("evaluate", "--run", "rnu"),
    "evaluate --data-root": (
        "evaluate",
        "--run",
        "run",
        "--dataset",
        "folder",
        "--data-root",
        "goood",
    ),
    "reconstruct": ("reconstruct", "goood", "--run", "run"),
    "report --run": ("report", "--run", "rnu"),
    "compare": ("compare", "rnu", "run"),
    "animate --image-dir": ("animate", "--run", "run", "--image-dir", "goood"),
    "monitor": ("monitor", "scoers.csv", "--run", "run"),
    "merge": ("merge", "tabel.csv"),
    "recalibrate": (
        "recalibrate",
        "--normals",
        "goood",
        "--run",
        "run",
        "--output",
        "new.safetensors",
    ),
    "watch": ("watch", "goood", "--run", "run", "--output", "watched.csv"),
}
SIMILAR = {
    "goood": "good",
    "rnu.toml": "run.toml",
    "rnu": "run",
    "list.txtt": "list.txt",
    "maks.png": "mask.png",
    "scoers.csv": "scores.csv",
    "tabel.csv": "table.csv.parts",
    "run/models/bst.safetensors": "run/models/best.safetensors",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained, write_digits):
    """Return a folder with images, a run, a config file and others, to be read only."""
    folder = tmp_path_factory.mktemp("missing-paths")
    write_digits(folder / "good", 0, 30)
    shutil.copytree(trained, folder / "run")
    shutil.copy(trained / "config.toml", folder / "run.toml")
    for name in ("list.txt", "mask.png", "scores.csv"):
        (folder / name).touch()
    (folder / "table.csv.parts").mkdir()
    return folder


@pytest.mark.parametrize("words", MISSING.values(), ids=MISSING)
def test_a_missing_path_ends_with_code_2_and_a_similar_name(bigan, folder, monkeypatch, words):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    done = bigan(*words)
    wrong = next(word for word in words if word in SIMILAR)
    assert (done.code, done.out) == (2, ""), done.err
    assert wrong in done.err
    assert re.search(f"did you mean '([^']*/)?{re.escape(SIMILAR[wrong])}'", done.err)
    assert sorted(folder.rglob("*")) == before  # nothing was written


def test_a_missing_folder_with_nothing_similar_has_no_wrong_hint(bigan, tmp_path):
    done = bigan("train", "--dataset", "folder", "--data-root", tmp_path / "parts")
    assert done.code == 2
    assert done.err == f"error: no such folder: {tmp_path / 'parts'}\n"


def test_another_number_is_not_suggested(bigan, trained, tmp_path, write_digits):
    first, *_ = write_digits(tmp_path, 0, 3)
    first.rename(tmp_path / "0007_0.png")
    done = bigan("score", first, "--run", trained)
    assert (done.code, done.out) == (2, "")
    assert "did you mean" not in done.err


def test_one_missing_input_among_others_has_a_row(bigan, trained, pictures, tmp_path):
    done = bigan("score", pictures, tmp_path / "gone.png", "--run", trained)
    assert done.code == 4
    assert f"{tmp_path / 'gone.png'}" in done.out


def test_resuming_asks_where_moved_images_are(bigan, write_digits, small_options, tmp_path):
    write_digits(tmp_path / "good", 0, 1200, only=3)
    words = (
        "--dataset",
        "folder",
        "--data-root",
        tmp_path / "good",
        "--save-dir",
        tmp_path / "run",
    )
    assert bigan("train", *words, *small_options).code == 0
    (tmp_path / "good").rename(tmp_path / "parts")
    resume = ("train", "--resume", "--save-dir", tmp_path / "run")
    done = bigan(*resume)
    assert done.code == 1
    assert f"are no longer in {tmp_path / 'good'}" in done.err
    assert "--data-root" in done.err
    assert bigan(*resume, "--data-root", tmp_path / "parts").code == 0


def test_the_option_that_was_given_is_not_the_hint(bigan, own_images, tmp_path):
    done = bigan("evaluate", "--run", own_images / "run", "--data-root", tmp_path / "moved")
    assert (done.code, done.err) == (2, f"error: no such folder: {tmp_path / 'moved'}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--dataset", "digits", "--fpr", "0.0001", "--save-dir", "new"),
        ("train", "--dataset", "digits", "--fpr", "2", "--save-dir", "new"),
        ("score", "good", "--run", "run", "--fpr", "0.0001"),
        ("score", "good", "--run", "run", "--fpr", "0.0001", "--output", "out.csv", "--maps", "m"),
        ("evaluate", "--run", "run", "--fpr", "0.0001", "--output", "new"),
        (
            "recalibrate",
            "--normals",
            "good",
            "--run",
            "run",
            "--fpr",
            "0.0001",
            "--output",
            "n.safetensors",
        ),
    ],
    ids=" ".join,
)
def test_a_rate_out_of_range_ends_with_code_2(bigan, folder, monkeypatch, words):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    done = bigan(*words)
    assert (done.code, done.out) == (2, ""), done.err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_run_without_a_model_yet(bigan, trained, pictures, tmp_path, status):
    info = json.loads((trained / "run.json").read_text()) | {"status": status, "epoch": 0}
    (tmp_path / "run.json").write_text(json.dumps(info))
    done = bigan("score", pictures, "--run", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert f"{tmp_path} has no trained model yet (epoch 0 of 2 finished)" in done.err
    assert ("wait for its training" in done.err) == (status == "running")
    assert f"bigan train --resume --save-dir {tmp_path}" in done.err


def test_too_few_images_for_the_default_rate_are_no_wrong_usage(bigan, write_digits, tmp_path):
    write_digits(tmp_path / "good", 0, 400, only=3)
    words = ("train", "--dataset", "folder", "--data-root", tmp_path / "good")
    assert bigan(*words, "--save-dir", tmp_path / "run").code == 1
    assert bigan(*words, "--save-dir", tmp_path / "run", "--fpr", "0.05").code == 2
