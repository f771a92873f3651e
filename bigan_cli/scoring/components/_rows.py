"""A matrix product that does to each row what it would do to it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# The columns that the widest vector registers (AVX-512) hold.
WIDTH = 16


def times(points: Tensor, matrix: Tensor) -> Tensor:
    """Return ``points @ matrix``, ``[N, D]``, of ``[N, K]`` and ``[K, D]``.

    Of N rows the same one gives the same bits in any place. The plain product does not promise
    that: columns that do not fill a kernel's width are left to others, which add up in another
    order in some rows than in others.
    """
    from torch.nn.functional import pad

    columns = matrix.shape[1]
    return (points @ pad(matrix, (0, -columns % WIDTH)))[:, :columns]
