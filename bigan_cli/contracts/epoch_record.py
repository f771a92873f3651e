"""The record of one epoch of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochRecord:
    """The record of one epoch of training.

    Attributes:
        epoch: Counted from 1.
        losses: Name -> mean over the epoch.
        images_per_second: Training throughput, validation excluded.
        seconds: Duration of the epoch.
        validation: Mean reconstruction error of the validation images, which chooses the best
            epoch; lower is better.
        best: Whether it is the lowest so far.
        extra: Name -> figure of the networks' diagnostics.
    """

    epoch: int
    losses: Mapping[str, float]
    images_per_second: float
    seconds: float
    validation: float
    best: bool
    extra: Mapping[str, float] = field(default_factory=dict)
