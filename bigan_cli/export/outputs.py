"""What running an exported model returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Outputs: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by the name of the output; see :class:`bigan_cli.export.graph.DetectorGraph`."""

Runner: TypeAlias = Callable[[NDArray[np.uint8]], Outputs]
"""Runs an exported model on images uint8 ``[N, H, W, C]``."""
