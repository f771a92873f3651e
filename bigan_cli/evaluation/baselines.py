"""Classical detectors on raw pixels, to hold the networks against: arrays in, scores out.

All of them see what the networks see: the *fit* normals to learn from, and the test images. None
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
        title: What tables call it.
        summary: What it does, with its settings.
        score: Takes the pixels to fit to, ``[N, D]``, those to score, ``[M, D]``, the number of
            channels and the seed; returns float64 ``[M]``, higher being more anomalous.
        most: So many of the fit images are used at the most, drawn with the seed; None for all.
    """

    title: str
    summary: str
    score: Callable[[Rows, Rows, int, int], Floats]
    most: int | None = None


def run_baselines(
    fit: Pixels, test: Pixels, outlier: Bools, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Return name -> figures of each of :data:`BASELINES`.

    The figures are ``auroc`` and ``average_precision`` (None where the test images are all of one
    kind), ``fitted_to`` (images), ``seconds`` and ``summary``.

    Args:
        fit: uint8 ``[N, C, H, W]``, normal images.
        test: uint8 ``[M, C, H, W]``.
        outlier: bool ``[M]``, the truth about *test*; read after all scores are there.
        seed: Decides what is random.

    Raises:
        DataError: There are no images to score.
    """
    if not len(test):
        raise DataError("there are no test images to score")
    figures = {}
    for name, baseline in BASELINES.items():
        started = time.monotonic()
        fitted_to = len(fit) if baseline.most is None else min(len(fit), baseline.most)
        scores = baseline_scores(name, fit, test, seed)
        figures[name] = {
            "auroc": auroc(outlier, scores),
            "average_precision": average_precision(outlier, scores),
            "fitted_to": fitted_to,
            "seconds": round(time.monotonic() - started, 2),
            "summary": baseline.summary,
        }
    return figures


def baseline_scores(name: str, fit: Pixels, test: Pixels, seed: int = 0) -> Floats:
    """Return float64 ``[M]``, what the baseline *name* says of *test*; higher is more anomalous.

    Args:
        name: One of :data:`BASELINES`.
        fit: uint8 ``[N, C, H, W]``, normal images.
        test: uint8 ``[M, C, H, W]``.
        seed: Decides what is random.
    """
    baseline = BASELINES[name]
    if baseline.most is not None and len(fit) > baseline.most:
        drawn = np.random.default_rng(seed).permutation(len(fit))[: baseline.most]
        fit = fit[np.sort(drawn)]
    scores = baseline.score(_rows(fit), _rows(test), fit.shape[1], seed)
    return np.asarray(scores, np.float64)


def _rows(pixels: Pixels) -> Rows:
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)


def _pca(fit: Rows, test: Rows, channels: int, seed: int) -> Floats:
    from sklearn.decomposition import PCA

    share = GREY_VARIANCE if channels == 1 else COLOUR_VARIANCE
    # The exact solver: what is random in the others would be noise in the figures.
    model = PCA(n_components=share, svd_solver="full", random_state=seed).fit(fit)
    parts = []
    for start in range(0, len(test), _CHUNK):
        some = test[start : start + _CHUNK]
        rest = some - model.inverse_transform(model.transform(some))
        parts.append(np.square(rest).mean(axis=1, dtype=np.float64))
    return np.concatenate(parts)


def _neighbours(fit: Rows, test: Rows, _channels: int, _seed: int) -> Floats:
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(fit)), algorithm="brute").fit(fit)
    distances, _ = nearest.kneighbors(test)
    mean: Floats = distances.mean(axis=1, dtype=np.float64)
    return mean


def _isolation_forest(fit: Rows, test: Rows, _channels: int, seed: int) -> Floats:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=TREES, random_state=seed).fit(fit)
    scores: Floats = -forest.score_samples(test)
    return scores


def _one_class_svm(fit: Rows, test: Rows, _channels: int, _seed: int) -> Floats:
    from sklearn.svm import OneClassSVM

    machine = OneClassSVM(kernel="rbf", gamma="scale", nu=SVM_NU).fit(fit)
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
        f"mean Euclidean distance to the {NEIGHBOURS} nearest fit images",
        _neighbours,
    ),
    "isolation_forest": Baseline(
        "Isolation Forest", f"Isolation Forest of {TREES} trees", _isolation_forest
    ),
    "one_class_svm": Baseline(
        "OC-SVM",
        f"one-class SVM, RBF kernel, gamma='scale', nu={SVM_NU:g}, on at most "
        f"{SVM_IMAGES:,} fit images, drawn at random",
        _one_class_svm,
        most=SVM_IMAGES,
    ),
}
"""Name -> detector, in the order of the tables. Pixels are float32 in [0, 1]."""
