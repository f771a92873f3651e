"""Animations of what models do: a walk through the latent space, scores and heatmaps by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_inputs import image_batches
from bigan_cli.data.prepare import TestSet, open_dataset, reopen_normals
from bigan_cli.errors import DataError, UsageError
from bigan_cli.evaluation.metrics import auroc
from bigan_cli.report.animation import Frames
from bigan_cli.report.model_frames import (
    EpochScores,
    heatmap_frames,
    score_frames,
    walk_frames,
)
from bigan_cli.scoring.detector import Detector
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import LoadedModel, data_config, load_model, open_test

# Frames from one end of a walk to the other; it then goes back.
_STEPS = 21
# Standard deviations of the latents that a walk along a direction covers on either side.
_REACH = 2.0
_DIRECTIONS, _COLUMNS = 4, 6
# Normal images whose latents give the directions.
_ENCODED = 200
# Test images of an animation of scores, of heatmaps.
_SCORED, _SHOWN = 1000, 6


def model_frames(
    run: RunDirectory,
    mode: str,
    *,
    between: tuple[Path, Path] | None,
    data_root: Path | None,
    device: str,
    plugins: Sequence[Path],
    scale: float,
    callbacks: Callbacks,
) -> tuple[list[int], Frames]:
    """Return the epochs that are shown, and the frames; see :func:`bigan_cli.workflows.animate`.

    Raises:
        DataError: The images or the models that are needed are missing.
        UsageError: The networks cannot be shown in this mode.
    """

    def load(file: Path) -> LoadedModel:
        return load_model(file, device, plugins, callbacks)

    best = load(run.model_file("best"))
    if best.detector.is_tiled and mode != "scores":
        raise UsageError(
            f"mode {mode} shows whole images, and the networks of this run take tiles",
            "use 'mode=scores' or 'mode=single'",
        )
    if mode == "latent":
        if between is not None:
            return [best.header.epoch], _between(best, between)
        normals = _normal_images(run, best, data_root, callbacks)
        return [best.header.epoch], _along_directions(best.detector, normals)
    test = open_test(run, best, data_root, callbacks)
    if not len(test.images):
        raise DataError(f"mode {mode} needs test images, and the run has none", "use 'mode=latent'")
    models = _saved_models(run, load, callbacks)
    if mode == "scores":
        epochs = [_scores(epoch, model.detector, test) for epoch, model in models]
        return [each.epoch for each in epochs], score_frames(epochs, scale)
    return _heatmaps(best, models, test)


def _saved_models(
    run: RunDirectory, load: Callable[[Path], LoadedModel], callbacks: Callbacks
) -> Iterator[tuple[int, LoadedModel]]:
    """Yield the model of every saved epoch, one at a time."""
    epochs = run.saved_epochs()
    if len(epochs) < 3:
        callbacks.warn(
            "there are model files of few epochs: train with 'output.keep_models=all' to keep more"
        )
    for done, epoch in enumerate(epochs):
        callbacks.on_progress("scoring by epoch", done, len(epochs))
        yield epoch, load(run.epoch_model(epoch))


# Latent space


def _between(model: LoadedModel, ends: tuple[Path, Path]) -> Frames:
    detector, options = model.detector, DecodeOptions.of(model.header.config.data)
    batches = image_batches([*ends], detector.shape, options)
    pixels = np.concatenate([batch for _, batch in batches])
    first, last = detector.encode(pixels)
    positions = np.linspace(-1, 1, _STEPS)
    shares = (positions + 1) / 2
    codes = [((1 - share) * first + share * last).astype(np.float32) for share in shares]
    walk = np.stack([detector.sample(code[None]) for code in codes])
    still = [np.broadcast_to(each, walk.shape) for each in pixels]
    rows = [("G of the path between two images", np.concatenate([still[0], walk, still[1]], 1))]
    return walk_frames(*_there_and_back(rows, positions))


def _along_directions(detector: Detector, normals: NDArray[np.uint8]) -> Frames:
    codes = detector.encode(normals)
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, lengths, directions = np.linalg.svd(flat - mean, full_matrices=False)
    total = float((lengths**2).sum())
    if not np.isfinite(total) or total <= 0:
        raise DataError("all normal images have the same latent vector", "train for longer")
    positions = np.linspace(-1, 1, _STEPS)
    starts = flat[:_COLUMNS]
    rows = []
    for number in range(min(_DIRECTIONS, len(lengths) - 1)):
        deviation = lengths[number] / np.sqrt(len(flat) - 1)
        # The images keep what is theirs in all other directions.
        others = starts - np.outer((starts - mean) @ directions[number], directions[number])
        steps = [
            others + position * _REACH * deviation * directions[number] for position in positions
        ]
        drawn = [
            detector.sample(each.reshape(-1, *codes.shape[1:]).astype(np.float32)) for each in steps
        ]
        share = lengths[number] ** 2 / total
        title = f"direction {number + 1}: {share:.0%} of the variance of E(x)"
        rows.append((title, np.stack(drawn)))
    return walk_frames(*_there_and_back(rows, positions))


def _there_and_back(
    rows: Sequence[tuple[str, NDArray[np.uint8]]], positions: NDArray[np.float64]
) -> tuple[list[tuple[str, NDArray[np.uint8]]], list[float]]:
    """Return the walks followed by the way back, so that the loop has no jump."""
    order = [*range(len(positions)), *range(len(positions) - 2, 0, -1)]
    return [(title, images[order]) for title, images in rows], positions[order].tolist()


def _normal_images(
    run: RunDirectory, model: LoadedModel, data_root: Path | None, callbacks: Callbacks
) -> NDArray[np.uint8]:
    config = data_config(run, model, data_root, callbacks)
    train, _ = reopen_normals(
        open_dataset(model.registry, config.data),
        config,
        samples=_ENCODED,
        most=_ENCODED,
        shape=model.detector.shape,
        roi=model.detector.roi,
    )
    return np.asarray(train.pixels)


# Scores and heatmaps


def _scores(epoch: int, detector: Detector, test: TestSet) -> EpochScores:
    chosen = _balanced(test, _SCORED)
    outlier = test.images.outlier[chosen]
    scores = detector.score(test.images.pixels[chosen]).score
    normal, anomalous = scores[~outlier], scores[outlier]
    area = auroc(outlier, scores) if len(normal) and len(anomalous) else None
    threshold = detector.calibration.threshold(detector.default_fpr)
    return EpochScores(epoch, normal, anomalous, threshold, area)


def _heatmaps(
    best: LoadedModel, models: Iterator[tuple[int, LoadedModel]], test: TestSet
) -> tuple[list[int], Frames]:
    if not best.detector.has_heatmaps:
        raise UsageError(
            "no score component of this run has heatmaps",
            "use 'mode=scores', or train with the component reconstruction",
        )
    chosen = _balanced(test, _SHOWN)
    pixels = np.asarray(test.images.pixels[chosen])
    heats = []
    for epoch, model in models:
        heat = model.detector.heatmaps(pixels)
        if heat is not None:
            heats.append((epoch, heat))
    captions = [test.class_names[label] for label in test.images.labels[chosen]]
    outlier = test.images.outlier[chosen].tolist()
    return [epoch for epoch, _ in heats], heatmap_frames(pixels, captions, outlier, heats)


def _balanced(test: TestSet, most: int) -> NDArray[np.int64]:
    """Return the numbers of at most *most* test images, half of them anomalies if possible.

    Chosen at random, so that no score decides what is shown.
    """
    rng = np.random.default_rng(0)
    kinds = [rng.permutation(np.flatnonzero(test.images.outlier == kind)) for kind in (True, False)]
    half = most // 2
    anomalies = kinds[0][: max(half, most - len(kinds[1]))]
    normals = kinds[1][: most - len(anomalies)]
    return np.concatenate([np.sort(anomalies), np.sort(normals)])
