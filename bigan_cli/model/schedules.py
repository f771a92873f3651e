"""What changes over a training: the learning rate and the instance noise."""

from __future__ import annotations

import math

from bigan_cli.config.schema import TrainConfig

# Final learning rate of the cosine schedule, as a fraction of the initial one.
_LAST_RATE = 0.05


def cosine_rate(done: int, steps: int) -> float:
    """Return the fraction of the initial learning rates for the step after *done* of *steps*.

    It falls from 1 to a twentieth along half a cosine.
    """
    falling = (1 + math.cos(math.pi * (done / steps))) / 2
    return _LAST_RATE + (1 - _LAST_RATE) * falling


def instance_noise(config: TrainConfig, epoch: int) -> float:
    """Return the standard deviation of the instance noise of an epoch, counted from 0.

    It falls linearly to zero (Soenderby et al. 2017, arXiv 1610.04490).
    """
    over = config.instance_noise_fraction * config.epochs
    return config.instance_noise * max(0.0, 1 - epoch / over) if over else 0.0
