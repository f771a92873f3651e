"""A folder of photographs from training to heatmaps: the recipe ``features``."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import bigan_cli as bigan_api
from bigan_cli.evaluation.metrics import auroc


@pytest.fixture
def run(photographs, tmp_path):
    """Return a copy of the run on photographs."""
    return Path(shutil.copytree(photographs / "run", tmp_path / "run"))


def test_the_folder_chooses_the_features(photographs):
    info = json.loads((photographs / "run" / "run.json").read_text())
    assert info["status"] == "done"
    config = (photographs / "run" / "config.toml").read_text()
    assert 'architecture = "features"' in config
    assert (photographs / "run" / "reconstruction/comparison/epoch-0002.png").exists()


def check_localisation(run, photographs, *, least_auroc, nearest):
    """Check the heatmaps of the test photographs.

    Args:
        run: A run trained on them.
        photographs: Their folder.
        least_auroc: Of the pixels of each defective image.
        nearest: Largest distance of an image's peak from the defect, in pixels of the map.
    """
    detector = bigan_api.load(run, device="cpu")
    good = detector.score(photographs / "test" / "good", maps=True)
    spots = sorted((photographs / "test" / "spot").iterdir())
    result = detector.score(spots, maps=True)
    assert result.score.min() > good.score.max()
    assert np.quantile(good.maps, 0.95) < 1  # dark
    for path, heatmap in zip(spots, result.maps, strict=True):
        with Image.open(path) as image:
            red, _, blue = np.moveaxis(np.asarray(image.resize(heatmap.shape[::-1])), -1, 0)
        spot = (red > 220) & (blue < 60)
        assert 0 < spot.sum() < 0.05 * spot.size
        assert heatmap[spot].min() > 1  # every pixel of it is above the threshold
        assert auroc(spot.ravel(), heatmap.ravel()) > least_auroc
        peak = np.unravel_index(heatmap.argmax(), heatmap.shape)
        assert np.hypot(*(np.argwhere(spot) - peak).T).min() <= nearest


def test_defects_score_higher_and_are_above_the_threshold(photographs):
    # So small an image has 8x8 positions, each of which sees most of it: the places are rough.
    check_localisation(photographs / "run", photographs, least_auroc=0.7, nearest=64)


@pytest.mark.slow
def test_defects_are_found_where_they_are(photographs, tmp_path):
    steps = {"epochs": 1, "min_epoch_steps": 30, "max_epoch_steps": 30}
    size = {"image_size": 256, "calibration": "held-out", "fpr": 0.2, "device": "cpu"}
    bigan_api.train(photographs, save_dir=tmp_path / "run", **size, **steps)
    # No farther than a position of the feature map.
    check_localisation(tmp_path / "run", photographs, least_auroc=0.95, nearest=16)


@pytest.mark.parametrize("size", [[480, 640], [640, 480]])
def test_one_number_is_the_shorter_side_of_photographs(bigan, tmp_path, size):
    folder = tmp_path / "good"
    folder.mkdir()
    for i in range(20):
        noise = np.random.default_rng(i).integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.jpg")
    words = ("--dataset", "folder", "--data-root", folder, "--image-size", 96)
    shown = bigan("train", "--dry-run", *words)
    assert shown.code == 0, shown.err
    assert f"3x{'x'.join(str(96 * side // 480) for side in size)}" in shown.err + shown.out


def test_the_training_state_has_the_frozen_network_once(run):
    networks = load_file(run / "models" / "best.safetensors")
    frozen = sum(value.nbytes for name, value in networks.items() if ".extractor." in name)
    assert (run / "models" / "training-state.pt").stat().st_size < 2 * frozen


@pytest.mark.slow
def test_it_is_evaluated_and_scored_like_any_run(bigan, run, photographs):
    evaluated = bigan("evaluate", "--run", run, "--json")
    assert evaluated.code == 0, evaluated.err
    assert json.loads(evaluated.out)["trained"]["auroc"]["value"] == 1.0
    stored = json.loads((run / "stats/self_test.json").read_text())
    assert json.loads(evaluated.out)["self_test"] == stored
    (run / "stats/self_test.json").unlink()  # it is repeated on the same images
    again = bigan("evaluate", "--run", run)
    assert again.code == 0, again.err
    assert "finds cut-paste defects from" in again.err
    assert re.search(r"cut-paste +\d \(\d, \d\)", again.err)
    assert json.loads((run / "stats/evaluation.json").read_text())["self_test"] == stored
    scored = bigan("score", photographs / "test" / "spot", "--run", run)
    assert scored.code == 0, scored.err
    rows = list(csv.DictReader(scored.lines))
    assert {row["label"] for row in rows} == {"anomaly"}
    drawn = bigan("reconstruct", "--run", run)
    assert drawn.code == 0
    assert "a decoder for pictures, which plays no part in the score" in drawn.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["train.rotation_weight=1"], "'train.rotation_weight': only for networks on pixels"),
        (["train.distortions=['elastic_coarse']"], "elastic_coarse: not for networks on features"),
        (["train.augmentations=['translation']"], "only for networks on pixels"),
    ],
)
def test_tasks_of_pixels_are_refused_on_features(bigan, tmp_path, settings, said):
    words = [word for setting in settings for word in ("--set", setting)]
    features = ("--architecture", "features", "--image-size", 64)
    done = bigan("train", "--dataset", "digits", *features, *words, "--save-dir", tmp_path / "run")
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "run").exists()


def test_tasks_of_features_are_refused_on_pixels(bigan, tmp_path):
    words = ("--set", "train.distortions=['feature_noise']", "--save-dir", tmp_path / "run")
    done = bigan("train", "--dataset", "digits", *words)
    assert done.code == 2
    assert "feature_noise: not for networks on pixels" in done.err


def test_a_photograph_has_the_same_bits_alone_and_with_any_number_of_others(photographs):
    import bigan_cli

    detector = bigan_cli.load(photographs / "run", device="cpu")
    files = sorted((photographs / "test" / "good").iterdir())
    together = detector.score(files)
    for number in range(1, len(files)):
        some = detector.score(files[:number])
        for name, values in {"score": some.score, **some.components}.items():
            expected = together.score if name == "score" else together.components[name]
            assert values.tolist() == expected[:number].tolist(), name
