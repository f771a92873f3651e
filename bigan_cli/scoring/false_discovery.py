"""Control of the false discovery rate over a batch of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def benjamini_hochberg(p_values: NDArray[np.float64], rate: float) -> NDArray[np.bool_]:
    """Return which images of a batch to call anomalous, bool ``[N]``.

    Of those called anomalous, on average at most a share *rate* is normal. The procedure calls
    the k smallest p-values anomalous, for the largest k with ``p_(k) <= rate * k / N``; images
    with equal p-values are treated alike. Conformal p-values of one calibration set depend on one
    another, but in a way for which the bound holds (positive regression dependence).

    Args:
        p_values: Conformal p-values, float64 ``[N]``.
        rate: Between 0 and 1.

    Source: Benjamini and Hochberg 1995; Bates, Candès, Lei, Romano, Sesia, "Testing for outliers
    with conformal p-values", Annals of Statistics 2023, arXiv 2104.08279, theorem 2.
    """
    count = len(p_values)
    small_enough = np.sort(p_values) <= rate * np.arange(1, count + 1) / count
    if not small_enough.any():
        return np.zeros(count, np.bool_)
    largest = np.sort(p_values)[np.flatnonzero(small_enough)[-1]]
    return np.asarray(p_values <= largest, np.bool_)
