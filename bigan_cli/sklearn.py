"""The detector as a scikit-learn estimator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from bigan_cli.api import Detector
from bigan_cli.config.keywords import settings_from_keywords
from bigan_cli.config.load import load_config
from bigan_cli.contracts import CHANNELS, SMALLEST_SIDE
from bigan_cli.errors import UsageError
from bigan_cli.workflows.fit_images import fit_images

_PADDING = 128
# Where the smallest and the largest value of a feature in fit are put, so that values beyond
# them can be distinguished.
_FEATURE_RANGE = (64.0, 191.0)


class BiGANOutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """A Bidirectional GAN that detects outliers among flattened images.

    It follows scikit-learn's convention for outlier detectors: ``score_samples`` and
    ``decision_function`` are *lower* for more abnormal rows, and ``predict`` returns -1 for
    outliers and 1 for inliers. PyOD has it the other way round: its ``decision_function`` is
    higher for outliers and its ``predict`` returns 1 for outliers and 0 for inliers. So PyOD's
    ``decision_function(X)`` corresponds to ``-score_samples(X)``, which is the score of
    ``bigan score``, and its ``predict(X)`` to ``(predict(X) == -1).astype(int)``.

    It learns from inliers alone: outliers in the rows given to ``fit`` are taken as normal.

    Rows become images of 8 bits as follows. With *image_shape*, or where the number of features
    is a square of at least 8 x 8, a row is a flattened image; uint8 values are taken as they
    are, and others are scaled by the smallest and the largest value in ``fit``. Any other row is
    a vector: each feature is scaled by its own smallest and largest value in ``fit``, and the
    vector is laid out row by row in the smallest square of at least 8 x 8 pixels that holds it,
    filled up with grey. The networks look for spatial structure, which such vectors lack: for
    tabular data other detectors are a better choice.

    Args:
        image_shape: Shape of the flattened images, ``(height, width)`` or ``(height, width,
            channels)``, channels last; 1, 3 or 4 channels.
        epochs: Passes over the training images.
        batch_size: Batch size.
        latent_dim: Length of the latent vector.
        feature_maps: Width of the networks: feature maps of the first layer.
        fpr: The share of inliers that may be called outliers.
        random_state: Seed of the run; an int, a RandomState, or None for a different one each
            time.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``. Results repeat to the bit on
            a CPU.
        settings: More settings, by the names of :func:`bigan_cli.train`: ``{"lr": 2e-4}``.

    Attributes:
        detector_: The fitted :class:`bigan_cli.Detector`.
        offset_: ``decision_function(X) = score_samples(X) - offset_``.
        fpr_: The rate that ``predict`` uses: *fpr*, or the smallest that the number of
            calibration images allows.
        n_features_in_: Number of features seen in ``fit``.
        feature_names_in_: Names of these, where they have any.
    """

    def __init__(  # noqa: PLR0913 - one for each parameter, as in scikit-learn
        self,
        *,
        image_shape: tuple[int, ...] | None = None,
        epochs: int = 30,
        batch_size: int = 64,
        latent_dim: int = 32,
        feature_maps: int = 16,
        fpr: float = 0.05,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.latent_dim = latent_dim
        self.feature_maps = feature_maps
        self.fpr = fpr
        self.random_state = random_state
        self.device = device
        self.settings = settings

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - as scikit-learn calls it
        """Train the networks on *X* and calibrate the score.

        Args:
            X: ``[n_samples, n_features]``, inliers; at least 2. Below about 4 / fpr rows the
                false-positive rate is not guaranteed, and a BiganWarning says so.
            y: Ignored.

        Raises:
            ValueError: *X* or a parameter is wrong.
        """
        rows = _validated(self, X, reset=True, ensure_min_samples=2)
        self._learn_layout(rows)
        loaded = load_config(settings=self._settings())
        fitted = fit_images(self._images(rows), loaded)
        self.detector_ = Detector.from_fitted(fitted, loaded)
        calibration = fitted.calibration
        self.fpr_ = max(float(self.fpr), calibration.smallest_fpr)
        self.offset_ = -calibration.threshold(self.fpr_)
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the negated anomaly score of each row, ``[n_samples]``; lower is more abnormal."""
        check_is_fitted(self)
        rows = _validated(self, X, reset=False)
        pixels = self._images(rows)
        images = pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)
        return -self.detector_.score(list(images)).score

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return ``score_samples(X) - offset_``; negative values are outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return 1 for inliers and -1 for outliers, ``[n_samples]``."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _settings(self) -> dict[str, Any]:
        seed = check_random_state(self.random_state)
        own = {
            "train.epochs": self.epochs,
            "train.batch_size": self.batch_size,
            "train.device": self.device,
            "train.seed": (
                int(self.random_state)
                if isinstance(self.random_state, int | np.integer)
                else int(seed.randint(2**31 - 1))
            ),
            "model.latent_dim": self.latent_dim,
            "model.options.feature_maps_gen": self.feature_maps,
            "model.options.feature_maps_disc": self.feature_maps,
            "score.fpr": self.fpr,
        }
        return own | settings_from_keywords(self.settings or {})

    def _learn_layout(self, rows: NDArray[Any]) -> None:
        """Find out how rows become images."""
        features = rows.shape[1]
        side = max(SMALLEST_SIDE, math.isqrt(features - 1) + 1)
        is_image = self.image_shape is not None or features == side * side
        self._shape = _image_shape(self.image_shape, features) if is_image else (side, side, 1)
        self._range = (0.0, 255.0)
        if rows.dtype == np.uint8:
            low, high = np.float64(0), np.float64(255)
        elif is_image:
            low, high = np.float64(rows.min()), np.float64(rows.max())
        else:
            low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
            self._range = _FEATURE_RANGE
        self._low = low
        self._span = np.where(high > low, high - low, 1.0)

    def _images(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Return rows as uint8 ``[N, C, H, W]``."""
        first, last = self._range
        scaled = first + (rows.astype(np.float64) - self._low) / self._span * (last - first)
        height, width, channels = self._shape
        flat = np.full((len(rows), height * width * channels), _PADDING, np.uint8)
        flat[:, : rows.shape[1]] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        images = flat.reshape(len(rows), height, width, channels)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _image_shape(given: tuple[int, ...] | None, features: int) -> tuple[int, int, int]:
    if given is None:
        side = math.isqrt(features)
        return side, side, 1
    shape = tuple(int(each) for each in given)
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or shape[2] not in CHANNELS or min(shape[:2]) < SMALLEST_SIDE:
        raise UsageError(
            f"image_shape {given} is not (height, width) or (height, width, channels) with sides "
            f"of {SMALLEST_SIDE} or more and 1, 3 or 4 channels"
        )
    if math.prod(shape) != features:
        raise UsageError(
            f"image_shape {given} has {math.prod(shape)} values, and X has {features} features"
        )
    return shape[0], shape[1], shape[2]


def _validated(estimator: BaseEstimator, X: ArrayLike, **options: Any) -> NDArray[Any]:
    """Return *X* checked by scikit-learn: two axes, numeric, finite, features as in fit."""
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:  # before scikit-learn 1.6 it was a method
        rows = estimator._validate_data(X, **options)  # noqa: SLF001
    else:
        rows = validate_data(estimator, X, **options)
    checked: NDArray[Any] = rows
    return checked
