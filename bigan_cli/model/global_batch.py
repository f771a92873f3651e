"""A batch whose rows are divided among the processes of a training.

Random numbers are drawn for all rows in every process, which all have the same seed, and each
takes those of its own rows: the step is that of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bigan_cli.model.process_group import ProcessGroup


class GlobalBatch:
    """The rows of a batch, of which every process has an equal part.

    Tensors may hold several parts of as many rows each, such as real and generated images, one
    after another; of every part, a process has its own rows.

    Args:
        group: The processes.
        count: N, the rows of the whole batch; a multiple of the number of processes.
    """

    def __init__(self, group: ProcessGroup, count: int) -> None:
        self.count = count
        self._rank, self._size = group.rank, group.size
        self._own_count = count // group.size

    @property
    def own_slice(self) -> slice:
        """The rows of this process."""
        start = self._rank * self._own_count
        return slice(start, start + self._own_count)

    def own(self, rows: Tensor) -> Tensor:
        """Return this process's rows of *rows*, ``[k * N, ...]``: ``[k * N / processes, ...]``."""
        if self._size == 1:
            return rows
        parts: Tensor = rows.unflatten(0, (-1, self._size, self._own_count))
        return parts[:, self._rank].flatten(0, 1)

    def draw(self, draw: Callable[[int], Tensor]) -> Tensor:
        """Return this process's rows of ``draw(N)``."""
        return self.own(draw(self.count))

    def randn_like(self, images: Tensor) -> Tensor:
        """Return draws from N(0, 1) for this process's *images*."""
        if self._size == 1:
            return torch.randn_like(images)
        shape = (len(images) * self._size, *images.shape[1:])
        return self.own(torch.randn(shape, dtype=images.dtype, device=images.device))

    def apply(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return *function* of this process's *images*.

        The function draws random numbers for every row and uses no other row: the rows of other
        processes are zeros for it.
        """
        if self._size == 1:
            return function(images)
        own = images.unflatten(0, (-1, 1, self._own_count))
        before, after = self._rank, self._size - 1 - self._rank
        zeros = torch.zeros_like(own)
        parts = torch.cat([*[zeros] * before, own, *[zeros] * after], dim=1)
        return self.own(function(parts.flatten(0, 2)))
