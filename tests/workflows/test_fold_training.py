"""A folder of few photographs: trained on all of them, calibrated by cross-fitting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import bigan_cli as bigan
from bigan_cli.errors import DataError, UsageError
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.run_config import load
from bigan_cli.workflows.train import train

SMALL = {
    "image_size": 32,
    "epochs": 1,
    "min_epoch_steps": 2,
    "max_epoch_steps": 2,
    "folds": 2,
    "device": "cpu",
    "architecture": "features",
}


def _photographs(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    base = np.linspace(60, 180, 32)[None, :, None] * np.ones((32, 1, 3))
    return (base + rng.normal(size=(count, 32, 32, 3)) * 12).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[bigan.Detector, Path]:
    folder = tmp_path_factory.mktemp("few")
    for number, image in enumerate(_photographs(20)):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    run = folder.with_name("few-run")
    return bigan.train(folder, save_dir=run, **SMALL), run


def test_twenty_photographs_are_trained_on_and_calibrate_at_005(trained):
    detector, run = trained
    data = RunDirectory.open(run).info()["data"]
    assert data["images"] == {"train": 20, "test": 0}
    assert {data["calibration"][key] for key in ("method", "images", "folds")} == {
        "cross-fitting",
        20,
        2,
    }
    assert "without a guarantee" in data["calibration"]["promise"]
    assert detector.calibration_size == 20
    noise = np.random.default_rng(1).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    assert detector.predict(noise, fpr=0.05).all()


def test_the_model_file_keeps_the_calibration(trained):
    detector, run = trained
    again = bigan.load(run, device="cpu")
    images = _photographs(3)
    assert np.array_equal(again.score(images).p_value, detector.score(images).p_value)
    assert (
        bigan.evaluate(run, device="cpu").evaluation.operating_point.calibration == "cross-fitting"
    )
    assert json.loads((run / "run.json").read_text())["status"] == "done"


def test_calibration_scores_are_not_those_of_the_final_networks(trained):
    """They were made without the images: on average the images look stranger."""
    detector, _ = trained
    inner = detector._detector
    assert np.median(inner.calibration.scores) > np.median(detector.score(_photographs(20)).score)


def test_nineteen_photographs_are_refused_with_what_is_possible(tmp_path):
    with pytest.raises(DataError, match="19 of normal; at least 20") as error:
        bigan.train(_photographs(19), save_dir=tmp_path / "run", **SMALL)
    assert "add 1 more" in error.value.hint
    assert "data.calibration=held-out" in error.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"architecture": "dcgan"}, "works on pixels"),
        ({"selection": "validation"}, "select an epoch"),
    ],
)
def test_what_cannot_be_cross_fitted_is_refused(tmp_path, setting, words):
    settings = SMALL | {"calibration": "cross-fitting"} | setting
    with pytest.raises(UsageError, match=words):
        bigan.train(_photographs(20), save_dir=tmp_path / "run", **settings)


def test_a_run_that_is_stopped_in_a_fold_stops_at_once_and_can_be_resumed(trained, tmp_path):
    _, whole = trained
    folds = []
    settings = {"data.dataset": "folder", "data.root": str(whole.with_name("few0"))}
    tables = {"data": ("image_size", "folds"), "model": ("architecture",)}
    for name, value in SMALL.items():
        table = next((t for t, names in tables.items() if name in names), "train")
        settings[f"{table}.{name}"] = value
    settings["output.save_dir"] = str(tmp_path / "run")
    callbacks = Callbacks(on_fold=lambda *each: folds.append(each), should_stop=lambda: bool(folds))
    stopped = train(load(None, (), settings, resume=False), callbacks=callbacks)
    assert (stopped.status, stopped.all_saved) == ("interrupted", False)
    assert folds == [(0, 2, 1, 2)]
    finished = train(load(None, (), settings, resume=True), resume=True)
    assert (finished.status, finished.all_saved) == ("done", True)
    one, two = (load_file(run / "models/best.safetensors") for run in (whole, tmp_path / "run"))
    assert all(np.array_equal(value, two[name]) for name, value in one.items())
