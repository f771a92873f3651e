"""The protocols: division into train, validation, calibration and test images.

The images of a dataset's train split, followed by those of its test split, form one *pool*;
everything here is indices into it. All random choices depend on the run's seed only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.config.schema import DataConfig
from bigan_cli.data.classes import resolve_classes
from bigan_cli.errors import DataError, UsageError

Index = NDArray[np.int64]

SMALLEST_TRAIN = 8
# With fewer images cross-fitting cannot keep the default false-positive rate of 0.05.
SMALLEST_CROSS_FITTED = 20
# Up to this many normal images none is held out if the architecture can be cross-fitted.
LARGEST_CROSS_FITTED = 200
HELD_OUT = 0.2
LARGEST_PART = 5_000
VALIDATION_FLOOR = (50, 0.15)
CALIBRATION_FLOOR = (100, 0.25)
# Separate streams of random numbers, so that the choices are independent.
_HOLD_OUT, _DIVIDE, _OUTLIERS, _NORMALS, _FOLDS = range(5)


@dataclass(frozen=True)
class Labels:
    """The labels of a pool.

    Attributes:
        train: int64 ``[N]``, classes of the train split.
        test: int64 ``[M]``, classes of the test split; may be empty.
        class_names: Class names by index.
        normal: The classes that the dataset itself calls normal, or None.
        dataset: Its name, for messages.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    class_names: Sequence[str]
    normal: tuple[int, ...] | None
    dataset: str


@dataclass(frozen=True)
class Splits:
    """Four sets of indices into the pool, each sorted in ascending order.

    They are disjoint; with cross-fitting, train, validation and calibration are the same set.

    Attributes:
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        normal_classes: The classes that are normal under it.
        train: Normal images to train on.
        validation: Normal images to choose the epoch and to standardise the components.
        calibration: Normal images to set the threshold.
        test: Normal images and anomalies to evaluate on.
        notes: Notes for the user on how the sets came about.
        folds: With cross-fitting, the fold of each training image, from 0; else None.
    """

    protocol: str
    normal_classes: tuple[int, ...]
    train: Index
    validation: Index
    calibration: Index
    test: Index
    notes: tuple[str, ...] = ()
    folds: Index | None = None


def make_splits(labels: Labels, config: DataConfig, seed: int) -> Splits:
    """Divide a dataset by the protocol of *config*.

    * ``one-class``: the classes of ``inlier`` are normal. Training: normal images of the train
      split. Test: normal images and anomalies of the test split.
    * ``leave-one-out``: all classes but those of ``outlier`` are normal. Train and test split
      are pooled; a random fifth of the normal images and all anomalies are for testing.
    * ``folder``: as one-class, with the normal classes that the dataset defines.
    * ``auto``: leave-one-out if ``outlier`` is given, one-class if ``inlier`` is, folder if the
      dataset defines normal classes, else one-class with class 0.

    A dataset with anomalies but without a test split is pooled as in leave-one-out. The test set
    has all anomalies, or, with a number for ``outlier_portion``, a stratified random sample that
    is this share of it to within one image. If there are too few anomalies, normal images are
    left out instead.

    The normal training images are divided once: ``validation_portion`` and
    ``calibration_portion`` of them, of small sets at least min(50, 15 %) and min(100, 25 %), and
    at most 5,000 each. With cross-fitting none is held out, and each normal image is in one of
    the folds.

    Raises:
        UsageError: The options contradict each other or name no class of the dataset.
        DataError: There are too few normal images.
    """
    protocol, normal_classes = resolve_protocol(labels, config)
    pool = np.concatenate([labels.train, labels.test])
    normal = np.isin(pool, normal_classes)
    in_train = np.arange(len(pool)) < len(labels.train)
    if protocol == "leave-one-out" or (not len(labels.test) and not normal.all()):
        in_test = _hold_out(normal, seed)
    else:
        in_test = ~in_train
    train_normals = np.flatnonzero(normal & ~in_test)
    names = [labels.class_names[k] for k in normal_classes]
    test, notes = _choose_test(pool, normal, in_test, config.outlier_portion, seed)
    if is_cross_fitted(len(train_normals), config):
        folds = _folds(len(train_normals), config, seed, names)
        thrice = (train_normals,) * 3
        return Splits(protocol, normal_classes, *thrice, test, notes, folds)
    train, validation, calibration = _divide(train_normals, config, seed, names)
    return Splits(protocol, normal_classes, train, validation, calibration, test, notes)


def resolve_protocol(labels: Labels, config: DataConfig) -> tuple[str, tuple[int, ...]]:
    """Return the protocol and the normal classes of *config* for this dataset.

    Raises:
        UsageError: The options contradict each other or name no class of the dataset.
    """
    protocol = config.protocol
    _refuse_contradictions(config)
    every = range(len(labels.class_names))
    if config.outlier:
        outlier = resolve_classes(config.outlier, labels.class_names, "outlier", labels.dataset)
        normal = tuple(k for k in every if k not in outlier)
        if not normal:
            raise UsageError("every class is an outlier: none is left to be normal")
        return "leave-one-out", normal
    if config.inlier:
        normal = resolve_classes(config.inlier, labels.class_names, "inlier", labels.dataset)
    elif protocol != "one-class" and labels.normal is not None:
        protocol, normal = "folder", labels.normal
    elif protocol == "folder":
        raise UsageError(
            f"the dataset {labels.dataset} does not say which of its classes are normal",
            "name them with --inlier",
        )
    else:
        normal = (0,)
    protocol = "one-class" if protocol == "auto" else protocol
    if protocol == "one-class" and len(normal) == len(labels.class_names):
        raise UsageError(
            f"every class of {labels.dataset} is an inlier: none is left to be an anomaly",
            "leave at least one class out"
            if len(labels.class_names) > 1
            else "leave --inlier and the protocol out to train on normal images alone",
        )
    return protocol, normal


def _refuse_contradictions(config: DataConfig) -> None:
    if config.inlier and config.outlier:
        raise UsageError("inlier and outlier cannot both be given", "all other classes are implied")
    if config.protocol == "leave-one-out" and not config.outlier:
        wrong = "takes no inlier" if config.inlier else "needs an anomalous class"
        raise UsageError(f"protocol leave-one-out {wrong}", "name it with 'data.outlier'")
    if config.protocol in ("one-class", "folder") and config.outlier:
        raise UsageError(
            f"protocol {config.protocol} takes no outlier", "'data.inlier' names the normal classes"
        )


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])


def _hold_out(normal: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return the test part of the pool: a fifth of the normal images, and every anomaly."""
    order = _generator(seed, _HOLD_OUT).permutation(np.flatnonzero(normal))
    in_test = ~normal
    in_test[order[: round(HELD_OUT * len(order))]] = True
    return in_test


def is_cross_fitted(normals: int, config: DataConfig) -> bool:
    """Return whether *normals* training images are calibrated by cross-fitting."""
    if config.calibration == "auto":
        return config.tile is None and normals <= LARGEST_CROSS_FITTED
    return config.calibration == "cross-fitting"


def _folds(normals: int, config: DataConfig, seed: int, names: Sequence[str]) -> Index:
    """Return the fold of each of *normals* images; fold sizes differ by one at most."""
    if normals < SMALLEST_CROSS_FITTED:
        raise DataError(
            f"too few normal images to train on: {normals} of {_shortened(names)}; "
            f"at least {SMALLEST_CROSS_FITTED} are needed",
            _possible(normals, config),
        )
    numbers = np.arange(normals) % min(config.folds, normals)
    folds: Index = _generator(seed, _FOLDS).permutation(numbers)
    return folds


def _possible(normals: int, config: DataConfig) -> str:
    """Return what can be done with too few images to cross-fit, for a message."""
    more = f"add {SMALLEST_CROSS_FITTED - normals} more, which allow a rate of 0.05"
    train, _, calibration = part_sizes(normals, config)
    if train < SMALLEST_TRAIN:
        return more
    rate = math.ceil(100 / (calibration + 1)) / 100
    return (
        f"{more}; or hold {calibration} of them out with 'data.calibration=held-out', which "
        f"allows a rate of {rate:g} ('score.fpr={rate:g}')"
    )


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def part_sizes(normals: int, config: DataConfig) -> tuple[int, int, int]:
    """Return the sizes (train, validation, calibration) of the parts of *normals* images."""
    validation = _part(normals, config.validation_portion, *VALIDATION_FLOOR)
    calibration = _part(normals, config.calibration_portion, *CALIBRATION_FLOOR)
    return normals - validation - calibration, validation, calibration


def _part(normals: int, portion: float, floor: int, floor_share: float) -> int:
    wanted = max(round(portion * normals), min(floor, int(floor_share * normals)), 1)
    return min(wanted, LARGEST_PART)


def _divide(
    normals: Index, config: DataConfig, seed: int, names: Sequence[str]
) -> tuple[Index, Index, Index]:
    train, validation, _ = part_sizes(len(normals), config)
    if train < SMALLEST_TRAIN:
        needed = len(normals)
        while part_sizes(needed, config)[0] < SMALLEST_TRAIN:
            needed += 1
        raise DataError(
            f"too few normal images to train on: {len(normals)} of {_shortened(names)}; "
            f"at least {needed} are needed",
            "some are set aside to choose the epoch and to set the threshold",
        )
    order = _generator(seed, _DIVIDE).permutation(normals)
    return (
        np.sort(order[:train]),
        np.sort(order[train : train + validation]),
        np.sort(order[train + validation :]),
    )


def _choose_test(
    pool: NDArray[np.int64],
    normal: NDArray[np.bool_],
    in_test: NDArray[np.bool_],
    portion: float | str,
    seed: int,
) -> tuple[Index, tuple[str, ...]]:
    """Return the test set with the configured share of anomalies, and notes on it."""
    normals = np.flatnonzero(in_test & normal)
    outliers = np.flatnonzero(in_test & ~normal)
    if isinstance(portion, str) or not len(normals) or not len(outliers):
        return np.flatnonzero(in_test), ()
    wanted = max(1, round(portion * len(normals) / (1 - portion)))
    if wanted <= len(outliers):
        chosen = _stratified(outliers, pool, wanted, seed)
        return np.sort(np.concatenate([normals, chosen])), ()
    kept = max(1, round(len(outliers) * (1 - portion) / portion))
    if kept >= len(normals):
        return np.flatnonzero(in_test), ()
    note = (
        f"the test set has too few anomalies, {len(outliers)}: of its {len(normals)} normal "
        f"images it keeps {kept}, so that anomalies are {portion:.1%} of it"
    )
    fewer = _generator(seed, _NORMALS).permutation(normals)[:kept]
    return np.sort(np.concatenate([fewer, outliers])), (note,)


def _stratified(candidates: Index, pool: NDArray[np.int64], count: int, seed: int) -> Index:
    """Return a stratified sample of *count* of *candidates*, without replacement."""
    rng = _generator(seed, _OUTLIERS)
    classes, sizes = np.unique(pool[candidates], return_counts=True)
    # Largest-remainder method, in integers: the parts add up, and none exceeds its class.
    shares = count * sizes // len(candidates)
    remainders = count * sizes % len(candidates)
    shares[np.argsort(-remainders, kind="stable")[: count - shares.sum()]] += 1
    chosen = [
        rng.permutation(candidates[pool[candidates] == label])[:share]
        for label, share in zip(classes, shares, strict=True)
    ]
    return np.concatenate(chosen)
