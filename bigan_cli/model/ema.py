"""Exponential moving average of the networks: the weights that images are scored with."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage:
    """A copy of a module whose weights trail those of the original.

    After update t the decay is ``min(decay, (1 + t) / (10 + t))``, so that the random start is
    forgotten quickly. Floating-point buffers (batch-norm statistics) are averaged alike, whole
    numbers are copied.

    Args:
        module: The module to follow.
        decay: Share of the old average that stays at each update, 0 <= decay < 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._source = _tensors(module)
        self._target = _tensors(self.module)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average one step towards the original's present weights."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        floats = [
            (t, s)
            for t, s in zip(self._target, self._source, strict=True)
            if t.is_floating_point()
        ]
        torch._foreach_lerp_([t for t, _ in floats], [s for _, s in floats], weight)
        for target, source in zip(self._target, self._source, strict=True):
            if not target.is_floating_point():
                target.copy_(source)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
