"""``bigan monitor``: scored images that have drifted are noticed, others are not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def scored(build_once, trained):
    """Return a folder with the normal test images' scores: ``same.csv``, ``bright.csv``."""
    from bigan_cli.cli.main import main

    def fill(base: Path) -> None:
        evaluated = base / "evaluated"
        words = ("--run", str(trained), "--device", "cpu")
        assert main(["evaluate", *words, "--output", str(evaluated)]) == 0
        with (evaluated / "scores.csv").open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["outlier"] == "0"]
        for name, shift in (("same", 0), ("bright", 25)):
            (base / name).mkdir()
            for row in rows:
                number = int(row["name"].rpartition("/")[2])
                pixels = np.round(load_images()[number] * 255 / 16) + shift
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(base / name / f"{number:04d}.png")
            output = str(base / f"{name}.csv")
            assert main(["score", str(base / name), *words, "--output", output]) == 0

    return build_once("drift", fill)


def load_images():
    return load_digits().images


def test_ten_per_cent_more_brightness_is_noticed_within_500_images(bigan, trained, scored):
    done = bigan("monitor", scored / "bright.csv", "--run", trained, "--json")
    report = json.loads(done.out)
    assert done.code == 3
    assert "have drifted: alarm at image" in done.err
    assert report["drift"]
    assert report["alarm"] <= 500
    assert report["values"][0]["alarm"] is not None
    assert report["alarm_path"].endswith(".png")


def test_the_same_images_raise_no_alarm(bigan, trained, scored):
    done = bigan("monitor", scored / "same.csv", "--run", trained)
    assert done.code == 0, done.err
    assert "no drift" in done.err
    assert done.lines[0].split("\t")[0] == "value"
    assert {line.split("\t")[0] for line in done.lines[1:]} >= {"score", "reconstruction"}


def test_a_file_that_is_being_written_is_read_up_to_its_last_whole_row(
    bigan, trained, scored, tmp_path
):
    growing = tmp_path / "growing.csv"
    text = (scored / "same.csv").read_text()
    lines = text.splitlines(keepends=True)
    growing.write_text("".join(lines[:100]) + lines[100][:20])
    done = bigan("monitor", growing, "--run", trained, "--json")
    assert json.loads(done.out)["images"] == 99


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_other_formats_give_the_same(bigan, trained, scored, tmp_path, suffix):
    other = tmp_path / f"same.{suffix}"
    words = ("score", scored / "same", "no such file.png", "--run", trained, "--output", other)
    assert bigan(*words).code == 4
    reports = [
        json.loads(bigan("monitor", file, "--run", trained, "--json").out)
        for file in (scored / "same.csv", other)
    ]
    assert reports[1].pop("skipped") == 1
    assert reports[0].pop("skipped") == 0
    assert reports[0] == reports[1]


def test_parquet_needs_its_package(bigan, trained, tmp_path, monkeypatch):
    from bigan_cli import extras

    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    done = bigan("monitor", tmp_path / "a.parquet", "--run", trained)
    assert done.code == 2
    assert "pyarrow is not installed" in done.err
    assert "bigan-cli[scale]" in done.err


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("a.txt", "", 2, "none of .csv, .jsonl and .parquet"),
        ("a.csv", "", 1, "has no scores yet"),
        ("a.csv", "colour,taste\nred,sweet\n", 1, "not a table of scores"),
        ("a.jsonl", "{}\n", 1, "not a table of scores"),
        ("a.parquet", "", 1, "not a table of scores"),
        ("a.parquet", "PAR1 damaged PAR1", 1, "not a table of scores"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(
    bigan, trained, tmp_path, name, content, code, message
):
    (tmp_path / name).write_text(content)
    done = bigan("monitor", tmp_path / name, "--run", trained)
    assert done.code == code, done.err
    assert message in done.err


def test_rows_of_another_model_or_in_sorted_order_are_refused(
    bigan, trained, ensemble, scored, tmp_path
):
    done = bigan("monitor", scored / "same.csv", "--run", ensemble)
    assert done.code == 2
    assert "were not scored with" in done.err
    ordered = tmp_path / "sorted.csv"
    assert (
        bigan("score", scored / "same", "--run", trained, "--sort", "--output", ordered).code == 0
    )
    done = bigan("monitor", ordered, "--run", trained)
    assert done.code == 2
    assert "sorted by score" in done.err


@pytest.fixture(scope="module")
def scored_surfaces(build_once, photographs, draw_photograph):
    """Return ``same.csv`` and ``bright.csv``: 180 photographs each, the last 80 of one brighter.

    The model is cross-fitted.
    """
    from bigan_cli.cli.main import main

    def fill(base: Path) -> None:
        random = np.random.default_rng(7)
        for name in ("same", "bright"):
            (base / name).mkdir(parents=True)
        for i in range(180):
            pixels = np.asarray(draw_photograph(random), dtype=float)
            for name, shift in (("same", 0), ("bright", 25 if i >= 100 else 0)):
                image = Image.fromarray((pixels + shift).clip(0, 255).astype(np.uint8))
                image.save(base / name / f"{i:03d}.png")
        for name in ("same", "bright"):
            words = ("--run", str(photographs / "run"), "--output", str(base / f"{name}.csv"))
            assert main(["score", str(base / name), *words, "--device", "cpu"]) == 0

    return build_once("surfaces", fill)


def test_after_cross_fitting_the_first_images_are_the_reference(
    bigan, photographs, scored_surfaces
):
    """The calibration scores are of other networks: compared with them, all would be a drift."""
    run = ("--run", photographs / "run")
    same = bigan("monitor", scored_surfaces / "same.csv", *run)
    assert same.code == 0, same.err
    assert "180 images, compared with the first 100 of them" in same.err
    bright = bigan("monitor", scored_surfaces / "bright.csv", *run, "--json")
    report = json.loads(bright.out)
    assert bright.code == 3
    assert report["reference"] == 100
    assert report["reference_source"] == "first images"
    assert 100 < report["alarm"] <= 180
    assert report["alarm_path"].endswith(f"{report['alarm'] - 1:03d}.png")


def test_first_images_that_are_flagged_are_no_reference(bigan, photographs, tmp_path):
    """Images of another camera from the start do not differ from each other."""
    random = np.random.default_rng(3)
    (tmp_path / "other").mkdir()
    for i in range(30):
        pixels = random.integers(0, 256, (72, 96, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "other" / f"{i:02d}.png")
    run = ("--run", photographs / "run")
    scores = tmp_path / "other.csv"
    assert bigan("score", tmp_path / "other", *run, "--output", scores).code == 0
    done = bigan("monitor", scores, *run, "--reference", 20, "--json")
    report = json.loads(done.out)
    assert done.code == 3
    assert report["drift"]
    assert report["reference_flagged"] == 1
    assert report["alarm"] == 20
    assert "100% of the first 20, with which the others are compared, are flagged" in done.err


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        (0, 2, "scored by other networks (cross-fitting)"),
        (-1, 2, "is negative"),
        (180, 1, "has 180 scores, and the first 180 are what later ones are compared with"),
    ],
)
def test_a_reference_that_cannot_be_compared_with_is_refused(
    bigan, photographs, scored_surfaces, reference, code, message
):
    done = bigan(
        *("monitor", scored_surfaces / "same.csv", "--run", photographs / "run"),
        *("--reference", reference),
    )
    assert done.code == code
    assert message in done.err


def test_the_first_images_may_be_the_reference_of_any_model(bigan, trained, scored):
    done = bigan("monitor", scored / "same.csv", "--run", trained, "--reference", "50")
    assert done.code == 0, done.err
    assert "compared with the first 50 of them" in done.err
