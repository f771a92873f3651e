"""The latent space of a report: encoded images on their principal directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.html.page import LatentSpace
from bigan_cli.report.html.pictures import sprite_uri, square
from bigan_cli.scoring.detector import Detector
from bigan_cli.workflows.reports.cards import ImageSource

_MOST, _MOST_BYTES = 600, 24_000_000
_COLUMNS = 20
_SIDE = 48


def latent_space(
    detector: Detector, source: ImageSource, index: NDArray[np.int64]
) -> LatentSpace | None:
    """Encode images and project them on the two directions of the largest variance.

    The latent map of networks on places is averaged over the places.

    Args:
        detector: Encodes them.
        source: The images.
        index: Which ones; of many, a random sample is taken.

    Returns:
        None where there are fewer than three images, all are encoded alike, or the networks take
        tiles.
    """
    shape = detector.shape
    most = min(_MOST, max(3, _MOST_BYTES // (shape.channels * shape.height * shape.width)))
    if len(index) > most:
        index = np.sort(np.random.default_rng(0).permutation(index)[:most])
    if len(index) < 3 or detector.is_tiled:
        return None
    pixels = source.pixels(index)
    codes = detector.encode(pixels).astype(np.float64)
    if codes.ndim > 2:
        codes = codes.reshape(*codes.shape[:2], -1).mean(axis=2)
    centred = codes - codes.mean(axis=0)
    directions, variances, _ = np.linalg.svd(centred, full_matrices=False)
    total = float((variances**2).sum())
    if not np.isfinite(total) or total <= 0 or len(variances) < 2:
        return None
    first, second = (float(each) for each in variances[:2] ** 2 / total)
    return LatentSpace(
        index=index,
        points=directions[:, :2] * variances[:2],
        explained=(first, second),
        sprite=sprite_uri(np.stack([square(to_rgb(each), _SIDE) for each in pixels]), _COLUMNS),
        side=_SIDE,
        columns=_COLUMNS,
    )
