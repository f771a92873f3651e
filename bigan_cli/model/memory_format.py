"""The channels-last memory format, with which convolutions are often faster."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bigan_cli.model.cycle_discriminators import IMAGE
from bigan_cli.model.networks import Networks


@torch.no_grad()
def supports_channels_last(networks: Networks) -> bool:
    """Return whether *networks*, on the CPU, have the same outputs (a ``view`` may fail).

    They run in ``eval()`` and are not changed.
    """
    shape = networks.input_shape
    x = torch.linspace(-1, 1, shape.channels * shape.height * shape.width)
    x = x.reshape(1, shape.channels, shape.height, shape.width)
    usual = copy.deepcopy(networks).eval()
    trial = copy.deepcopy(usual).to(memory_format=torch.channels_last)
    try:
        expected = _outputs(usual, x)
        found = _outputs(trial, x.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return False
    return all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(expected, found, strict=True)
    )


def to_channels_last(networks: Networks) -> None:
    """Convert the weights of all convolutions in place; their outputs have the same format."""
    for parameter in networks.parameters():
        if parameter.dim() == 4:
            # A copy: with one channel both formats differ in strides only,
            # by which convolutions choose their kernels.
            laid = torch.empty_like(parameter, memory_format=torch.channels_last)
            parameter.data = laid.copy_(parameter.data)


def _outputs(networks: Networks, x: Tensor) -> list[Tensor]:
    z = networks.encoder(x)
    outputs = [z, networks.generator(z), *networks.discriminator(x, z)]
    if networks.has_image_features:
        outputs.append(networks.discriminator.image_features(x))  # type: ignore[operator]
    if IMAGE in networks.cycle_discriminators:
        outputs += networks.cycle_discriminators[IMAGE](x, x)
    return outputs
