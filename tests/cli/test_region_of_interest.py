"""Runs with a region of interest: what is outside of it counts nowhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tomli
from PIL import Image

import bigan_cli
from bigan_cli import Callbacks

HEIGHT, WIDTH = 72, 96
INSIDE = np.s_[12:60, 20:72]
STEPS = {"epochs": 2, "min_epoch_steps": 6, "max_epoch_steps": 6, "fpr": 0.2, "device": "cpu"}
KINDS = {
    "features": {"image_size": (96, 128), "folds": 2},
    "features-tiles": {"tile": 48, "epochs": 1},
    "pixels": {"architecture": "dcgan", "image_size": (36, 48)},
    "pixels-tiles": {"architecture": "dcgan", "tile": 32},
}
FEW = {"model__options__feature_maps_gen": 4, "model__options__feature_maps_disc": 4}


def region() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[INSIDE] = True
    return mask


def settings(kind: str) -> dict[str, object]:
    more = FEW if kind.startswith("pixels") else {}
    return {**STEPS, **KINDS[kind], **more}


@pytest.fixture(scope="module")
def mask(tmp_path_factory) -> Path:
    """Return a mask image of the region."""
    path = tmp_path_factory.mktemp("roi") / "mask.png"
    Image.fromarray(region()).save(path)
    return path


@pytest.fixture(scope="module")
def trained(photographs, mask, build_once):
    """Return a function that returns a run of a kind, trained on photographs with the mask."""

    def of(kind: str) -> Path:
        return build_once(
            f"roi-{kind}",
            lambda folder: bigan_cli.train(
                photographs / "train", save_dir=folder, roi=str(mask), **settings(kind)
            ),
        )

    return of


@pytest.fixture(scope="module")
def good(photographs) -> np.ndarray:
    """Return a normal image, uint8 ``[H, W, 3]``."""
    return np.asarray(Image.open(photographs / "test" / "good" / "00.png"))


def painted(image: np.ndarray, *places: object) -> np.ndarray:
    """Return the image with yellow *places*."""
    changed = image.copy()
    for place in places:
        changed[place] = (250, 240, 30)
    return changed


@pytest.mark.parametrize(
    "kind", [k if k == "pixels" else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_a_defect_outside_changes_no_bit_and_one_inside_is_found(trained, good, kind):
    run = trained(kind)
    detector = bigan_cli.load(run, device="cpu")
    outside = painted(good, np.s_[:12], np.s_[60:], np.s_[:, :20], np.s_[:, 72:])
    inside = painted(good, np.s_[28:44, 36:52])
    result = detector.score([good, outside, inside], maps=True)
    assert result.score[0] == result.score[1]
    assert all(values[0] == values[1] for values in result.components.values())
    assert np.array_equal(result.maps[0], result.maps[1])
    assert result.score[2] > result.score[0]
    heat = np.asarray(Image.fromarray(result.maps[2]).resize((WIDTH, HEIGHT)))
    defect = np.zeros_like(region())
    defect[28:44, 36:52] = True
    # Features at positions of 16 pixels in so small an image: the surroundings light up, too.
    assert heat[defect].mean() > heat[region() & ~defect].mean()
    assert heat[defect].mean() > 1


@pytest.mark.parametrize(
    "kind",
    ["pixels-tiles", pytest.param("features", marks=pytest.mark.slow)],
)
def test_maps_and_regions_are_empty_outside(trained, good, bigan, tmp_path, kind):
    Image.fromarray(painted(good, np.s_[4:24, 10:40])).save(tmp_path / "part.png")
    words = ("score", tmp_path / "part.png", "--run", trained(kind), "--maps", tmp_path / "maps")
    masks = ("--map-format", "npy", "--masks", tmp_path / "masks", "--json")
    scored = bigan(*words, *masks)
    assert scored.code == 0, scored.err
    heat = np.load(tmp_path / "maps" / "part.png.npy")
    assert heat.shape == (HEIGHT, WIDTH)
    assert not heat[~region()].any()
    assert heat[region()].any()
    assert not np.asarray(Image.open(tmp_path / "masks" / "part.png.png"))[~region()].any()
    for found in json.loads(scored.out)["regions"]:
        assert found["left"] >= 20
        assert found["top"] >= 12


@pytest.mark.slow
def test_an_overlay_is_dimmed_outside(trained, good, bigan, tmp_path):
    Image.fromarray(good).save(tmp_path / "part.png")
    words = ("--run", trained("features"), "--maps", tmp_path / "maps")
    assert bigan("score", tmp_path / "part.png", *words).code == 0
    overlay = np.asarray(Image.open(tmp_path / "maps" / "part.png.png")).astype(float)
    assert overlay[~region()].mean() < 0.5 * good[~region()].mean()
    assert np.median(np.abs(overlay - good)[region()]) == 0


@pytest.mark.slow
def test_the_run_needs_the_mask_for_training_alone(trained, photographs, bigan, tmp_path):
    run = Path(shutil.copytree(trained("features"), tmp_path / "run"))
    config = (run / "config.toml").read_text()
    moved = config.replace(tomli.loads(config)["data"]["roi"], str(tmp_path / "gone.png"))
    (run / "config.toml").write_text(moved)
    assert bigan("score", photographs / "test" / "spot", "--run", run).code == 0
    evaluated = bigan("evaluate", "--run", run, "--json")
    assert evaluated.code == 0, evaluated.err
    assert "are not those of" not in evaluated.err
    resumed = bigan("train", "--resume", "--save-dir", run)
    assert resumed.code != 0
    assert "no such region of interest" in resumed.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("features", marks=pytest.mark.slow), "pixels"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    trained, photographs, mask, good, tmp_path, kind
):
    given = {"save_dir": tmp_path / "run", "roi": str(mask), **settings(kind)}
    metrics = tmp_path / "run/stats/metrics.jsonl"  # of the first epoch of two
    stopping = Callbacks(should_stop=metrics.exists)
    bigan_cli.train(photographs / "train", callbacks=stopping, **given)
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "interrupted"
    resumed = bigan_cli.train(save_dir=tmp_path / "run", resume=True)
    whole = bigan_cli.load(trained(kind), device="cpu")
    assert np.array_equal(resumed.score([good]).score, whole.score([good]).score)


@pytest.mark.slow
def test_polygons_of_a_config_file_are_the_region_of_a_mask(trained, photographs, tmp_path, bigan):
    config = tmp_path / "run.toml"
    config.write_text("[data]\nroi = [[[20, 12], [71, 12], [71, 59], [20, 59]]]\n")
    run = tmp_path / "run"
    bigan_cli.train(photographs / "train", save_dir=run, config=config, **settings("pixels"))
    ours, others = (
        bigan_cli.load(each, device="cpu").score(photographs / "test" / "spot").score
        for each in (run, trained("pixels"))
    )
    assert np.array_equal(ours, others)


def test_another_mask_does_not_resume_a_run(trained, bigan, tmp_path):
    run = Path(shutil.copytree(trained("pixels"), tmp_path / "run"))
    config = (run / "config.toml").read_text()
    other = tmp_path / "other.png"
    Image.fromarray(~region()).save(other)
    (run / "config.toml").write_text(config.replace(tomli.loads(config)["data"]["roi"], str(other)))
    refused = bigan("train", "--resume", "--save-dir", run)
    assert refused.code != 0
    assert "or the region of interest in them, are not those" in refused.err


@pytest.mark.parametrize(
    ("roi", "words"),
    [
        ("missing.png", "no such region of interest"),
        ("small.png", "30 pixels wide and 72 high, but images are 96 pixels wide and 72 high"),
        ("black.png", "nothing is inside of the region of interest"),
        ("[[[0, 0], [500, 0], [0, 9]]]", "has the point [500, 0] outside of the images"),
        ("[[[0, 0], [5, 0]]]", "roi must be a mask image, or polygons"),
    ],
)
def test_a_wrong_region_is_refused_before_training(photographs, tmp_path, bigan, roi, words):
    Image.new("L", (30, 72), 255).save(tmp_path / "small.png")
    Image.new("L", (96, 72), 0).save(tmp_path / "black.png")
    value = roi if roi.startswith("[") else tmp_path / roi
    run = tmp_path / "run"
    data = ("--dataset", "folder", "--data-root", photographs / "train", "--save-dir", run)
    refused = bigan("train", *data, "--set", f"data.roi={value}")
    assert refused.code in (1, 2)
    assert words in refused.err, refused.err
    assert refused.err.count("error:") == 1
    assert not run.exists()


@pytest.mark.parametrize("change", ["bits", "size"])
def test_a_damaged_region_in_a_model_file_is_refused(
    trained, good, bigan, tmp_path, rewrite_model, change
):
    file = tmp_path / "model.safetensors"
    shutil.copy(trained("pixels") / "models" / "best.safetensors", file)

    def damage(_header, tensors):
        tensors[f"roi.{change}"] = tensors[f"roi.{change}"][:-1].clone()

    rewrite_model(file, damage)
    Image.fromarray(good).save(tmp_path / "part.png")
    refused = bigan("score", tmp_path / "part.png", "--checkpoint", file)
    assert refused.code != 0
    assert "its region of interest" in refused.err
