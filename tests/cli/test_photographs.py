"""A folder of photographs from training to heatmaps: the recipe ``features``."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bigan_cli as bigan_api


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


def test_defects_score_higher_and_their_places_are_found(photographs):
    detector = bigan_api.load(photographs / "run", device="cpu")
    good = detector.score(photographs / "test" / "good").score
    spots = sorted((photographs / "test" / "spot").iterdir())
    result = detector.score(spots, maps=True)
    assert result.score.min() > good.max()
    for path, heatmap in zip(spots, result.maps, strict=True):
        with Image.open(path) as image:
            red, _, blue = np.moveaxis(np.asarray(image.resize(heatmap.shape[::-1])), -1, 0)
        spot = (red > 220) & (blue < 60)
        assert 0 < spot.sum() < 1000
        assert heatmap[spot].mean() > 1.2 * heatmap[~spot].mean()


def test_it_is_evaluated_and_scored_like_any_run(bigan, run, photographs):
    evaluated = bigan("evaluate", "--run", run, "--json")
    assert evaluated.code == 0, evaluated.err
    assert json.loads(evaluated.out)["trained"]["auroc"]["value"] == 1.0
    scored = bigan("score", photographs / "test" / "spot", "--run", run)
    assert scored.code == 0, scored.err
    rows = list(csv.DictReader(scored.lines))
    assert {row["label"] for row in rows} == {"anomaly"}
    assert bigan("reconstruct", "--run", run, "--overwrite").code == 0
