"""``bigan recalibrate`` and ``bigan update``: a model for other normal images."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.storage.model_header import read_header


@pytest.fixture(scope="module")
def grey(build_once, write_digits) -> Path:
    """Return a folder with threes on a grey background, and ``later/`` with more of them."""

    def fill(base: Path) -> None:
        for name, start, stop in (("good", 1200, 1797), ("later", 0, 600)):
            for path in write_digits(base / name, start, stop, only=3):
                pixels = np.asarray(Image.open(path))
                Image.fromarray((80 + 0.6 * pixels).astype(np.uint8)).save(path)

    return build_once("grey-threes", fill)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def score(bigan, folder: Path, model: Path, output: Path) -> list[dict[str, str]]:
    words = ("--run", model, "--device", "cpu", "--fpr", "0.1", "--output", output)
    assert bigan("score", folder, *words).code == 0
    return rows_of(output)


@pytest.mark.parametrize("command", ["recalibrate", "update"])
def test_an_adapted_model_keeps_its_rate_and_says_what_it_comes_from(
    bigan, own_images, grey, tmp_path, command
):
    new, run = tmp_path / "new.safetensors", own_images / "run"
    best = run / "models" / "best.safetensors"
    before = best.read_bytes()
    words = ("--run", run, "--normals", grey / "good", "--output", new, "--fpr", "0.1")
    done = bigan(command, *words, "--device", "cpu", "--json")
    assert done.code == 0, done.err
    assert "are among these images" not in done.err
    result = json.loads(done.out)
    assert best.read_bytes() == before
    parent, header = read_header(best), read_header(new)
    (revision,) = header.revisions
    assert revision.kind == result["kind"] == f"{command}d"
    assert revision.parent_sha256 == parent.sha256 == result["parent_sha256"]
    assert revision.images == result["images"] == sum(result["parts"].values())
    assert revision.fingerprint == result["fingerprint"]
    assert header.sha256 == result["sha256"]
    assert header.default_fpr == 0.1
    assert header.members[0].components.keys() == parent.members[0].components.keys()

    old = score(bigan, grey / "later", run, tmp_path / "old.csv")
    rows = score(bigan, grey / "later", new, tmp_path / "new.csv")
    flagged = sum(row["label"] == "anomaly" for row in rows)
    assert sum(row["label"] == "anomaly" for row in old) > 0.5 * len(old)
    assert flagged <= 0.3 * len(rows)  # 0.1, and a handful of calibration images


def test_recalibration_changes_neither_networks_nor_memories(bigan, own_images, grey, tmp_path):
    from safetensors.torch import load_file

    new, run = tmp_path / "new.safetensors", own_images / "run"
    words = ("--run", run, "--normals", grey / "good", "--output", new, "--fpr", "0.1")
    assert bigan("recalibrate", *words, "--device", "cpu").code == 0
    old, kept = load_file(run / "models" / "best.safetensors"), load_file(new)
    assert old.keys() == kept.keys()
    for name, tensor in old.items():
        if not name.startswith("calibration."):
            assert tensor.equal(kept[name]), name
    assert not old["calibration.scores"].equal(kept["calibration.scores"])


def test_a_model_is_adapted_again_and_keeps_its_history(bigan, own_images, grey, tmp_path):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    words = ("--normals", grey / "good", "--fpr", "0.1", "--device", "cpu")
    assert bigan("update", "--run", own_images / "run", "--output", first, *words).code == 0
    assert bigan("recalibrate", "--run", first, "--output", second, *words).code == 0
    kinds = [revision.kind for revision in read_header(second).revisions]
    assert kinds == ["updated", "recalibrated"]
    assert read_header(second).revisions[1].parent_sha256 == read_header(first).sha256


def test_photographs_calibrated_by_cross_fitting_are_calibrated_on_held_out_images(
    bigan, photographs, tmp_path
):
    new = tmp_path / "new.safetensors"
    words = ("--normals", photographs / "train" / "good", "--fpr", "0.2", "--device", "cpu")
    done = bigan("recalibrate", "--run", photographs / "run", "--output", new, *words, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["parts"] == {"calibration": 16, "validation": 8}
    assert "24 of 24 training images looked at are among these images" in done.err
    assert not read_header(new).is_cross_fitted
    assert bigan("score", photographs / "test", "--run", new, "--device", "cpu").code == 0


def test_copies_count_once(bigan, own_images, grey, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    for path in (grey / "good").iterdir():
        (again / path.name).write_bytes(path.read_bytes())
    words = ("--run", own_images / "run", "--fpr", "0.1", "--device", "cpu", "--json")
    folders = ("--normals", grey / "good")
    one = bigan("recalibrate", *words, *folders, "--output", tmp_path / "1.safetensors")
    both = bigan(
        "recalibrate", *words, *folders, "--normals", again, "--output", tmp_path / "2.safetensors"
    )
    assert "copies of others and left out" in both.err
    found, expected = json.loads(both.out), json.loads(one.out)
    assert found["copies"] == found["images"] == expected["images"]
    assert found["fingerprint"] == expected["fingerprint"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--output", "{run}/models/best.safetensors"), 2, "never changed in place"),
        (("--output", "{run}/models/new.safetensors"), 2, "holds the models of a training"),
        (("--output", "{tmp}/new.onnx"), 2, "no .safetensors file"),
        (("--output", "{tmp}/new.safetensors", "--fpr", "0.001"), 2, "are too few"),
        (("--output", "{tmp}/new.safetensors", "--normals", "{tmp}"), 1, "no images under"),
        (("--output", "{tmp}/new.safetensors", "--normals", "{tmp}/broken"), 1, "cannot read"),
        (
            ("--output", "{tmp}/new.safetensors", "--normals", "{tmp}/no"),
            2,
            "no such file or folder: ",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(bigan, own_images, grey, tmp_path, words, code, message):
    (tmp_path / "broken").mkdir()
    filled = [word.format(run=own_images / "run", tmp=tmp_path) for word in words]
    if "broken" in words[-1]:
        (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    if "--normals" not in words:
        filled += ["--normals", str(grey / "good")]
    done = bigan("recalibrate", "--run", own_images / "run", "--device", "cpu", *filled)
    assert done.code == code, done.err
    assert message in done.err
    assert not (tmp_path / "new.safetensors").exists()
