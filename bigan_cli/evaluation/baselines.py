"""Classical detectors on raw pixels, for comparison: arrays in, scores out.

All of them use the same images as the networks: the training images and the test images. None
has a setting that was chosen with labels. scikit-learn is imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError
from bigan_cli.evaluation.metrics import Bools, Floats, auroc, average_precision

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]

GREY_VARIANCE, COLOUR_VARIANCE = 0.95, 0.90
NEIGHBOURS = 5
TREES = 100
SVM_NU = 0.1
SVM_IMAGES = 5_000
"""The training time of a support vector machine grows with the square of the images."""

_CHUNK = 4096


@dataclass(frozen=True)
class Baseline:
    """One classical detector.

    Attributes:
        title: Its name in tables.
        summary: The method, with its settings.
        score: Takes the pixels to train on, ``[N, D]``, those to score, ``[M, D]``, the number of
            channels and the seed; returns float64 ``[M]``, higher being more anomalous.
        most: Largest number of training images to use, sampled with the seed; None for all.
    """

    title: str
    summary: str
    score: Callable[[Rows, Rows, int, int], Floats]
    most: int | None = None


def run_baselines(
    train: Pixels, test: Pixels, outlier: Bools, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return name -> metrics of each of :data:`BASELINES`.

    The metrics are ``auroc`` and ``average_precision`` (None if the test images are all of one
    kind), ``fitted_to`` (images), ``seconds`` and ``summary``.

    Args:
        train: uint8 ``[N, C, H, W]``, normal images.
        test: uint8 ``[M, C, H, W]``.
        outlier: bool ``[M]``, the truth about *test*; read after all scores are computed.
        seed: Random seed.

    Raises:
        DataError: There are no images to score.
    """
    if not len(test):
        raise DataError("there are no test images to score")
    figures = {}
    for name, baseline in BASELINES.items():
        started = time.monotonic()
        fitted_to = len(train) if baseline.most is None else min(len(train), baseline.most)
        scores = baseline_scores(name, train, test, seed)
        figures[name] = {
            "auroc": auroc(outlier, scores),
            "average_precision": average_precision(outlier, scores),
            "fitted_to": fitted_to,
            "seconds": round(time.monotonic() - started, 2),
            "summary": baseline.summary,
        }
    return figures


def baseline_scores(name: str, train: Pixels, test: Pixels, seed: int = 0) -> Floats:
    """Return float64 ``[M]``, the scores of a baseline for *test*; higher is more anomalous.

    Args:
        name: One of :data:`BASELINES`.
        train: uint8 ``[N, C, H, W]``, normal images.
        test: uint8 ``[M, C, H, W]``.
        seed: Random seed.
    """
    baseline = BASELINES[name]
    if baseline.most is not None and len(train) > baseline.most:
        drawn = np.random.default_rng(seed).permutation(len(train))[: baseline.most]
        train = train[np.sort(drawn)]
    scores = baseline.score(_rows(train), _rows(test), train.shape[1], seed)
    return np.asarray(scores, np.float64)


def _rows(pixels: Pixels) -> Rows:
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)


def _pca(train: Rows, test: Rows, channels: int, seed: int) -> Floats:
    from sklearn.decomposition import PCA

    share = GREY_VARIANCE if channels == 1 else COLOUR_VARIANCE
    # The exact solver: the others are random, which would add noise.
    model = PCA(n_components=share, svd_solver="full", random_state=seed).fit(train)
    parts = []
    for start in range(0, len(test), _CHUNK):
        some = test[start : start + _CHUNK]
        rest = some - model.inverse_transform(model.transform(some))
        parts.append(np.square(rest).mean(axis=1, dtype=np.float64))
    return np.concatenate(parts)


def _neighbours(train: Rows, test: Rows, _channels: int, _seed: int) -> Floats:
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(train))
    nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(train)
    distances, _ = nearest.kneighbors(test)
    mean: Floats = distances.mean(axis=1, dtype=np.float64)
    return mean


def _isolation_forest(train: Rows, test: Rows, _channels: int, seed: int) -> Floats:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=TREES, random_state=seed).fit(train)
    scores: Floats = -forest.score_samples(test)
    return scores


def _one_class_svm(train: Rows, test: Rows, _channels: int, _seed: int) -> Floats:
    from sklearn.svm import OneClassSVM

    machine = OneClassSVM(kernel="rbf", gamma="scale", nu=SVM_NU).fit(train)
    scores: Floats = -machine.score_samples(test)
    return scores


BASELINES: Mapping[str, Baseline] = {
    "pca": Baseline(
        "PCA",
        "mean squared error of reconstruction from the principal components that hold "
        f"{GREY_VARIANCE:.0%} of the variance ({COLOUR_VARIANCE:.0%} of colour images)",
        _pca,
    ),
    "neighbours": Baseline(
        f"{NEIGHBOURS}-NN",
        f"mean Euclidean distance to the {NEIGHBOURS} nearest training images",
        _neighbours,
    ),
    "isolation_forest": Baseline(
        "Isolation Forest", f"Isolation Forest of {TREES} trees", _isolation_forest
    ),
    "one_class_svm": Baseline(
        "OC-SVM",
        f"one-class SVM, RBF kernel, gamma='scale', nu={SVM_NU:g}, on at most "
        f"{SVM_IMAGES:,} training images, sampled at random",
        _one_class_svm,
        most=SVM_IMAGES,
    ),
}
"""Name -> detector, in the order of the tables. Pixels are float32 in [0, 1]."""
