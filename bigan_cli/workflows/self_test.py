"""A test of a detector with synthetic defects, where no real ones are available."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.atomic import write_text
from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.evaluation.pixel_pca import PixelPCA
from bigan_cli.evaluation.synthetic_defects import KINDS, Kind, paint
from bigan_cli.plugins.names import join_words
from bigan_cli.regular_files import read_regular_file
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.run_schema import parse_self_test

# Lengths of the defects, as shares of the short side.
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
_EACH = 8
# A size counts as found if this share of its defects is.
_FOUND = 2 / 3
_FOLDS = 4
# Attempts to paint a defect into the region of interest.
_ATTEMPTS = 30
_LARGEST = 16_000_000  # bytes of a stored self-test
# Normal images looked at: enough for PCA and for a threshold, and bounded in memory.
_SAMPLE, _LEAST_SAMPLE, _SAMPLE_BYTES = 200, 20, 2**27
# Images of more tiles would take minutes.
_MOST_TILES = 16


@dataclass(frozen=True)
class FoundDefects:
    """How many defects of one kind and size were found.

    Attributes:
        kind: Of the defects.
        pixels: Their length, at the size that the networks see.
        found: How many are called anomalous by the detector.
        untrained: The same of the untrained networks.
        pca: The same of PCA on the pixels.
        total: How many there are.
    """

    kind: str
    pixels: int
    found: int
    untrained: int
    pca: int
    total: int


@dataclass(frozen=True)
class SelfTest:
    """What a self-test found.

    Attributes:
        model_sha256: The checksum of the tested model file.
        fpr: The false-positive rate of the threshold.
        rows: By kind and size.
    """

    model_sha256: str
    fpr: float
    rows: tuple[FoundDefects, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "model_sha256": self.model_sha256,
            "fpr": self.fpr,
            "defects": [asdict(row) for row in self.rows],
        }

    def verdict(self) -> str:
        """Return in one sentence whether the model is usable."""
        by_size: dict[int, list[str]] = {}
        weak = []
        for kind in KINDS:
            size = self._found_from(kind)
            if size is None:
                weak.append(kind)
            else:
                by_size.setdefault(size, []).append(kind)
        if not by_size:
            return (
                "not ready to use: it finds no kind of synthetic defect; try a larger "
                "'data.image_size', or more images"
            )
        found = ", ".join(
            f"{join_words(by_size[size])} defects from {size} pixels on" for size in sorted(by_size)
        )
        but = f"; weak on {join_words(weak)} defects" if weak else ""
        return f"ready to use: finds {found}{but}"

    def remarks(self) -> list[str]:
        """Return what the figures mean, and what to change."""
        lines = []
        for kind in KINDS:
            size = self._found_from(kind)
            lines.append(
                f"does not find {kind} defects: try a larger 'data.image_size'"
                if size is None
                else f"finds {kind} defects from {size} pixels on"
            )
        return lines + self.shortcomings()

    def shortcomings(self) -> list[str]:
        """Return what training and the networks did not gain, and what to change."""
        lines = []
        found, untrained, pca, total = (
            sum(getattr(row, name) for row in self.rows)
            for name in ("found", "untrained", "pca", "total")
        )
        if found <= untrained:
            lines.append(
                f"training gained nothing: {found} of {total} found, {untrained} by the untrained "
                "networks. The pretrained features do the work here; a larger 'data.image_size' "
                "or more images help more than 'train.epochs'"
            )
        if found <= pca:
            lines.append(
                f"the networks gained nothing over PCA on the pixels, which finds {pca} of "
                f"{total}, and the model {found}: try a larger 'data.image_size', or more images"
            )
        return lines

    def _found_from(self, kind: Kind) -> int | None:
        """Return the smallest length from which on defects of a kind are found; None if none."""
        smallest = None
        for row in sorted((r for r in self.rows if r.kind == kind), key=lambda row: -row.pixels):
            if row.found < _FOUND * row.total:
                break
            smallest = row.pixels
        return smallest


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
    found, before, pca = (each.reshape(len(cells), _EACH).sum(axis=1).tolist() for each in flags)
    rows = tuple(
        FoundDefects(kind, size, found[i], before[i], pca[i], _EACH)
        for i, (kind, size) in enumerate(cells)
    )
    return SelfTest(model_sha256, rate, rows)


def can_be_tested(detector: Detector) -> bool:
    """Return whether a self-test of *detector* takes seconds, and says something.

    Its defects are those of photographs, which networks on feature maps are for.
    """
    tiles = detector.shape.height * detector.shape.width / _pixels_of_input(detector)
    return detector.on_feature_map and tiles <= _MOST_TILES


def write_self_test(run: RunDirectory, test: SelfTest) -> None:
    """Write ``stats/self_test.json``."""
    file = run.claim(run.self_test_file)
    write_text(file, json.dumps(test.as_dict(), indent=2) + "\n")


def read_self_test(run: RunDirectory) -> SelfTest | None:
    """Return the stored self-test of a run; None if there is none that is whole."""
    try:
        stored = parse_self_test(read_regular_file(run.self_test_file, _LARGEST))
    except (OSError, ValueError):
        return None
    rows = tuple(FoundDefects(**row) for row in stored["defects"])
    return SelfTest(stored["model_sha256"], stored["fpr"], rows)


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
