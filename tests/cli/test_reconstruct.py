"""``bigan reconstruct`` as a user meets it."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture
def reconstruct(bigan, run):
    return lambda *words: bigan("reconstruct", "--run", run, "--device", "cpu", *words)


def size_of(path):
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def test_test_images_in_the_place_of_the_run(reconstruct, run):
    done = reconstruct()
    path = run / "reconstruction" / "reconstruct.png"
    assert done.code == 0
    assert done.out == f"{path}\n"
    assert min(size_of(path)) > 200
    assert "16 images by" in done.err


def test_the_seed_chooses(reconstruct, tmp_path):
    documents = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        words = ["--seed", seed, "-n", "6", "--output", tmp_path / f"{name}.png", "--json"]
        documents.append(json.loads(reconstruct(*words).out))
    a, b, c = documents
    assert (a["schema"], len(a["images"])) == (1, 6)
    assert a["images"] == b["images"] != c["images"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_half_of_the_test_images_are_anomalies(bigan, reconstruct, run):
    assert bigan("evaluate", "--run", run, "--device", "cpu").code == 0
    lines = (run / "stats" / "scores.csv").read_text().splitlines()[1:]
    outlier = {line.split(",")[0]: line.split(",")[2] == "1" for line in lines}
    document = json.loads(reconstruct("-n", "10", "--json").out)
    assert document["outlier"] == [outlier[name] for name in document["images"]]
    assert sum(document["outlier"]) == 5


def test_given_images(bigan, run, reconstruct, pictures, tmp_path):
    paths = sorted(pictures.glob("*.png"))[:3]
    done = reconstruct(*paths, "--output", tmp_path / "out.png", "--json")
    assert done.code == 0
    document = json.loads(done.out)
    assert document["images"] == [str(path) for path in paths]
    assert document["path"] == str(tmp_path / "out.png")
    assert document["outlier"] is None
    scored = bigan("score", *paths, "--run", run, "--device", "cpu", "--json")
    rows = [json.loads(line) for line in scored.out.splitlines()]
    assert document["scores"] == [row["score"] for row in rows]
    assert document["p_values"] == [row["p_value"] for row in rows]


def test_images_that_are_not_shown_are_mentioned(reconstruct, pictures, tmp_path):
    paths = sorted(pictures.glob("*.png"))[:6]
    few = reconstruct(*paths, "-n", "5", "--output", tmp_path / "few.png", "--json")
    assert json.loads(few.out)["images"] == [str(path) for path in paths[:5]]
    assert "note: only the first 5 images are shown; -n shows more" in few.err
    every = reconstruct(*paths, "-n", "6", "--output", tmp_path / "all.png")
    assert every.code == 0
    assert "only the first" not in every.err


def test_unreadable_images_are_left_out(reconstruct, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    done = reconstruct(bad, min(pictures.glob("*.png")), "--output", tmp_path / "out.png")
    assert done.code == 4
    assert done.out == f"{tmp_path / 'out.png'}\n"
    assert f"warning: skipped {bad}" in done.err
    assert min(size_of(tmp_path / "out.png")) > 50
    nothing = reconstruct(bad, "--output", tmp_path / "nothing.png")
    assert nothing.code == 1
    assert not (tmp_path / "nothing.png").exists()


def test_a_picture_is_not_overwritten_unasked(reconstruct, tmp_path):
    output = tmp_path / "mine.png"
    output.write_text("precious")
    done = reconstruct("--output", output)
    assert done.code == 2
    assert done.err == f"error: {output} exists\nhint: --overwrite replaces it\n"
    assert output.read_text() == "precious"
    assert reconstruct("--output", output, "--overwrite").code == 0
    assert min(size_of(output)) > 200


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--output", "picture.jpg"], 2, "picture.jpg is not a .png"),
        (["-n", "0"], 2, "--number"),
        (["--checkpoint", "9"], 2, "no checkpoint '9'"),
    ],
)
def test_wrong_words_are_told_in_one_line(reconstruct, words, code, said):
    done = reconstruct(*words)
    assert done.code == code
    assert said in done.err
    assert done.out == ""


def test_a_run_without_test_images_asks_for_some(bigan, own_images, tmp_path):
    run = own_images / "run"
    done = bigan("reconstruct", "--run", run)
    assert done.code == 1
    assert done.err.endswith(
        "error: this run has no test images\nhint: name images to reconstruct\n"
    )
    words = ["--run", run, "--output", tmp_path / "own.png"]
    assert bigan("reconstruct", own_images / "good", *words).code == 0


def test_a_model_file_without_its_run(bigan, trained, pictures, tmp_path):
    model = tmp_path / "model.safetensors"
    shutil.copy(trained / "models" / "best.safetensors", model)
    words = ["--run", tmp_path / "none", "--checkpoint", model]
    assert "pass --output FILE.png" in bigan("reconstruct", pictures, *words).err
    output = ["--output", tmp_path / "out.png"]
    assert bigan("reconstruct", pictures, *words, *output).code == 0
    needs_run = bigan("reconstruct", *words, "--output", tmp_path / "other.png")
    assert needs_run.code == 2
    assert "a model file alone does not know its test images" in needs_run.err


@pytest.mark.parametrize("named", ["image", "folder"])
def test_an_input_is_never_overwritten(reconstruct, pictures, tmp_path, named):
    image = tmp_path / "input.png"
    image.write_bytes(min(pictures.glob("*.png")).read_bytes())
    content = image.read_bytes()
    given = image if named == "image" else tmp_path
    done = reconstruct(given, "--output", image, "--overwrite")
    assert done.code == 2
    assert done.err == f"error: the output {image} is one of the inputs\nhint: name another file\n"
    assert image.read_bytes() == content
