"""Small graphics made of characters: bars and sparklines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int, *, unicode: bool) -> tuple[str, str]:
    """Return the filled and the empty part of a bar, *width* characters together.

    Args:
        share: Filled share, limited to 0 to 1.
        width: In characters.
        unicode: Whether to draw with box characters, which resolve half a character; else ASCII.
    """
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    if not unicode:
        return "#" * (halves // 2), "-" * (width - halves // 2)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    return filled, "─" * (width - len(filled))


def sparkline(values: Sequence[float], width: int) -> str:
    """Return *values* as at most *width* blocks of increasing height.

    The scale is logarithmic where all values are positive, since errors fall by factors. More
    values than columns are averaged. Values that are not finite are left out.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    if min(finite) > 0:
        finite = [math.log(value) for value in finite]
    columns = min(width, len(finite))
    edges = [round(i * len(finite) / columns) for i in range(columns + 1)]
    means = [sum(finite[start:stop]) / (stop - start) for start, stop in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)
