"""Histogram bins and axis ticks for scores with outliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Decades of a logarithmic axis at most; a linear part that is smaller cannot be seen.
_DECADES = 12


def linear_width(typical: Floats, values: Floats) -> float | None:
    """Return the half-width of the linear part of the axis, or None if all of it is linear."""
    low, high = np.quantile(typical, [0.25, 0.75])
    spread, extent = float(high - low), float(np.ptp(values))
    if extent < 20 * spread or spread <= extent * 10.0**-_DECADES:
        return None
    return 2 * spread


def ticks(values: Floats, linear_width: float) -> list[float]:
    """Return zero and powers of ten whose tick labels do not overlap."""
    low, high = (float(np.arcsinh(v / linear_width)) for v in (values.min(), values.max()))
    largest = int(np.floor(np.log10(np.abs(values).max())))
    powers = [10.0**k for k in range(largest, largest - _DECADES, -1)]
    kept: list[float] = []
    for tick in (0.0, *(sign * power for power in powers for sign in (1, -1))):
        at = float(np.arcsinh(tick / linear_width))
        apart = [abs(at - np.arcsinh(other / linear_width)) for other in kept]
        if low <= at <= high and min(apart, default=high - low) >= 0.07 * (high - low):
            kept.append(tick)
    return sorted(kept)


def bins(values: Floats, linear_width: float | None) -> Floats:
    """Return bin edges that are evenly spaced on the axis."""
    count = int(np.clip(2 * np.sqrt(values.size), 8, 60))
    low, high = float(values.min()), float(values.max())
    if low == high:
        half = max(abs(low) * 0.05, 0.5)
        low, high = low - half, high + half
    if linear_width is None:
        return np.linspace(low, high, count + 1)
    bent = np.linspace(np.arcsinh(low / linear_width), np.arcsinh(high / linear_width), count + 1)
    edges = np.sinh(bent) * linear_width
    # Rounding must not exclude the outermost scores.
    edges[0], edges[-1] = low, high
    return np.asarray(edges, dtype=np.float64)
