"""Exponential moving average of the networks: the weights that images are scored with."""

from __future__ import annotations

import copy
import re

import torch
from torch import Tensor, nn

# The extractor is equal in both; the decoder is copied after each epoch.
_NOT_AVERAGED = ("extractor.", "decoder.")


class MovingAverage:
    """A copy of a module whose weights trail those of the original.

    After update t the decay is ``min(decay, (1 + t) / (10 + t))``, so that the random start is
    forgotten quickly. Batch-norm statistics are averaged alike. Whole numbers and the buffers of
    parametrisations are copied: the mean of a spectral norm's unit vectors is not a unit vector.

    Args:
        module: The module to follow.
        decay: Share of the old average that stays at each update, 0 <= decay < 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._averaged: tuple[list[Tensor], list[Tensor]] = ([], [])
        # By type: one call copies all tensors of one type.
        self._copied: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        source = {n: t for n, t in _tensors(module) if not n.startswith(_NOT_AVERAGED)}
        for name, target in _tensors(self.module):
            if name not in source:
                continue
            if target.is_floating_point() and not _is_parametrisation_buffer(name):
                self._averaged[0].append(target)
                self._averaged[1].append(source[name])
            else:
                copies, originals = self._copied.setdefault(target.dtype, ([], []))
                copies.append(target)
                originals.append(source[name])

    def update(self) -> None:
        """Move the average one step towards the original's present weights."""
        self.move(self.next_weight())

    def next_weight(self) -> float:
        """Count one update, and return the share of the present weights in it."""
        self.updates += 1
        return 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))

    @torch.no_grad()
    def move(self, weight: float | Tensor) -> None:
        """Move the average by *weight* of its distance to the original's present weights.

        Args:
            weight: 0 to 1; where operations are recorded to be repeated, a scalar tensor, which
                can be changed between the repetitions.
        """
        targets, sources = self._averaged
        if isinstance(weight, Tensor):
            changes = torch._foreach_sub(sources, targets)  # noqa: SLF001  as PyTorch's own does
            torch._foreach_mul_(changes, weight)
            torch._foreach_add_(targets, changes)
        else:
            torch._foreach_lerp_(targets, sources, weight)
        for copies, originals in self._copied.values():
            torch._foreach_copy_(copies, originals)


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _is_parametrisation_buffer(name: str) -> bool:
    # A parametrisation's weight is ".original"; what else lies under it is its own bookkeeping.
    return ".parametrizations." in name and not re.search(r"\.original\d*$", name)
