"""A test of a detector with synthetic defects, where no real ones are available."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.evaluation.pixel_pca import PixelPCA
from bigan_cli.evaluation.synthetic_defects import KINDS, Kind, paint
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector
from bigan_cli.workflows.self_test_result import DiscordantPairs, FoundDefects, SelfTest

# Lengths of the defects, as shares of the short side.
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
_EACH = 8
_FOLDS = 4
# Attempts to paint a defect into the region of interest.
_ATTEMPTS = 30
# Normal images looked at: enough for PCA and for a threshold, and bounded in memory.
_SAMPLE, _LEAST_SAMPLE, _SAMPLE_BYTES = 200, 20, 2**27
# Images of more tiles would take minutes.
_MOST_TILES = 16


def self_test(
    normals: NDArray[np.uint8],
    calibration: NDArray[np.uint8],
    model_sha256: str,
    *,
    trained: Detector,
    untrained: Detector,
    fpr: float | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SelfTest:
    """Paint defects on normal images and count those found.

    Nothing is drawn from any global random generator. After cross-fitting the images were also
    trained on, which makes their defects harder to find than those of new images.

    Args:
        normals: Training images, uint8 ``[N, C, H, W]``, that PCA is fitted to.
        calibration: Normal images to paint on, best those of the calibration.
        model_sha256: The checksum of the model file of *trained*.
        trained: The detector to test.
        untrained: That of the networks at initialisation.
        fpr: The false-positive rate; by default the detector's.
        on_progress: Called with (images scored, total) by the two detectors.
    """
    rng = np.random.default_rng(0)
    side = min(calibration.shape[2:])
    cells = [(kind, max(2, round(share * side))) for kind in KINDS for share in _SHARES]
    painted = np.stack(
        [
            _paint_inside(calibration, kind, size, rng, trained.roi)
            for kind, size in cells
            for _ in range(_EACH)
        ]
    )
    rate = trained.default_fpr if fpr is None else fpr
    flags = []
    on_progress(0, 2 * len(painted))
    for done, detector in enumerate((trained, untrained), 1):
        flags.append(detector.predict(painted, rate))
        on_progress(done * len(painted), 2 * len(painted))
    flags.append(_found_by_pca(normals, painted, rate))
    model, *others = flags
    untrained_pairs, pca_pairs = (
        DiscordantPairs(int((model & ~other).sum()), int((other & ~model).sum()))
        for other in others
    )
    found, before, pca = (each.reshape(len(cells), _EACH).sum(axis=1).tolist() for each in flags)
    rows = tuple(
        FoundDefects(kind, size, found[i], before[i], pca[i], _EACH)
        for i, (kind, size) in enumerate(cells)
    )
    height, width = calibration.shape[2:]
    return SelfTest(model_sha256, rate, (height, width), rows, untrained_pairs, pca_pairs)


def can_be_tested(detector: Detector) -> bool:
    """Return whether a self-test of *detector* takes seconds, and says something.

    Its defects are those of photographs, which networks on feature maps are for.
    """
    tiles = detector.shape.height * detector.shape.width / _pixels_of_input(detector)
    return detector.on_feature_map and tiles <= _MOST_TILES


def images_looked_at(shape: ImageShape) -> int:
    """Return how many training images, and calibration images, a self-test looks at."""
    fitting = _SAMPLE_BYTES // (shape.channels * shape.height * shape.width)
    return min(max(fitting, _LEAST_SAMPLE), _SAMPLE)


def sample(
    train: NDArray[np.uint8], calibration: NDArray[np.uint8], seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the images of a run that a self-test looks at.

    They are those that :func:`bigan_cli.data.prepare.reopen_normals` reads again.
    """
    number = images_looked_at(ImageShape(*train.shape[1:]))
    rng = np.random.default_rng(seed)
    one, two = (
        pixels[np.sort(rng.permutation(len(pixels))[:number])] for pixels in (train, calibration)
    )
    return one, two


def _pixels_of_input(detector: Detector) -> int:
    shape = detector.members[0].networks.image_shape
    return shape.height * shape.width


def _paint_inside(
    pixels: NDArray[np.uint8],
    kind: Kind,
    size: int,
    rng: np.random.Generator,
    roi: RegionOfInterest | None,
) -> NDArray[np.uint8]:
    """Return an image with a defect, most of which is in the region of interest."""
    for _ in range(_ATTEMPTS):
        image, donor = pixels[rng.choice(len(pixels), 2)]
        painted = paint(image, donor, kind, size, rng)
        if roi is None:
            break
        changed = (painted != image).any(axis=0)
        if (changed & roi.inside).sum() > changed.sum() / 2:
            break
    return painted


def _found_by_pca(
    normals: NDArray[np.uint8], images: NDArray[np.uint8], fpr: float
) -> NDArray[np.bool_]:
    """Return which images PCA calls anomalous at a rate calibrated by cross-fitting."""
    folds = np.arange(len(normals)) % min(_FOLDS, len(normals))
    scores = np.empty(len(normals))
    for fold in np.unique(folds):
        held_out = folds == fold
        scores[held_out] = PixelPCA(normals[~held_out]).scores(normals[held_out])
    return Calibration(scores).p_values(PixelPCA(normals).scores(images)) <= fpr
