"""Batch normalisation whose statistics are those of the batches of all processes.

``torch.nn.SyncBatchNorm`` needs a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bigan_cli.model.process_group import average


def synchronise_batch_norm(network: nn.Module, size: int) -> None:
    """Replace the batch normalisations in *network* by ones that are synchronised.

    Weights and statistics stay the same tensors, under the same names.

    Args:
        network: Changed in place.
        size: The number of processes; all have batches of the same size.
    """
    for parent in list(network.modules()):
        for name, module in list(parent.named_children()):
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                setattr(parent, name, SynchronisedBatchNorm(module, size))


class SynchronisedBatchNorm(_BatchNorm):
    """*module* with the mean and variance of all processes' batches in ``train()``.

    The variance is that of the deviations from the common mean: two sums over the processes,
    which are exact where the difference of large squares would not be.
    """

    def __init__(self, module: _BatchNorm, size: int) -> None:
        super().__init__(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        self.size = size
        self._parameters.update(module._parameters)  # noqa: SLF001  the same tensors
        self._buffers.update(module._buffers)  # noqa: SLF001  likewise
        self.training = module.training

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  torch's name
        """Take inputs of any dimensionality; the module that this replaces was checked."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Return *input* ``[N, C, ...]`` normalised."""
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        dims = [0, *range(2, input.ndim)]
        shape = (1, -1, *[1] * (input.ndim - 2))
        x = input.float()
        mean = average(x.mean(dims), self.size)
        centred = x - mean.view(shape)
        variance = average(centred.square().mean(dims), self.size)
        self._update(mean.detach(), variance.detach(), x.numel() // x.shape[1] * self.size)
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, as ``torch.nn.BatchNorm2d`` does."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101  with the running statistics
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
