"""A matrix product whose rows do not depend on each other, to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Number of floats in the widest vector registers (AVX-512).
WIDTH = 16


def times(points: Tensor, matrix: Tensor) -> Tensor:
    """Return ``points @ matrix``, ``[N, D]``, of ``[N, K]`` and ``[K, D]``.

    A row has the same bits at any position and among any other rows. The plain product does not
    guarantee that: columns that do not fill a kernel's width are computed by other kernels, whose
    order of summation differs between rows.
    """
    from torch.nn.functional import pad

    columns = matrix.shape[1]
    return (points @ pad(matrix, (0, -columns % WIDTH)))[:, :columns]
