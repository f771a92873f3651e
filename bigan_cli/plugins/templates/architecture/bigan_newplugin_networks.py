"""The three networks.

Shapes in the comments: N images, C channels, H x W pixels, d latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bigan_cli.contracts import ImageShape

_STAGES = 3
_FEATURES = 128


def _half(size: tuple[int, int]) -> tuple[int, int]:
    """Return what a convolution of stride 2 leaves of (height, width)."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _sizes(shape: ImageShape) -> list[tuple[int, int]]:
    """Return (height, width) from the image's own down to that of the smallest maps."""
    sizes = [(shape.height, shape.width)]
    for _ in range(_STAGES):
        sizes.append(_half(sizes[-1]))
    return sizes


def _widths(width: int) -> list[int]:
    return [width * 2**stage for stage in range(_STAGES)]


class _Trunk(nn.Sequential):
    """x ``[N, C, H, W]`` -> ``[N, features]``."""

    def __init__(self, shape: ImageShape, width: int, groups: int, features: int) -> None:
        layers: list[nn.Module] = []
        before = shape.channels
        for after in _widths(width):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1),
                # Not batch normalisation: outputs must not depend on the other images.
                nn.GroupNorm(groups, after),
                nn.LeakyReLU(0.2),
            ]
            before = after
        height, width_ = _sizes(shape)[-1]
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * height * width_, features))


class Encoder(nn.Module):
    """E: x ``[N, C, H, W]`` in [-1, 1] -> z ``[N, d]``."""

    def __init__(self, shape: ImageShape, latent_dim: int, width: int, groups: int) -> None:
        super().__init__()
        self.trunk = _Trunk(shape, width, groups, latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return E(x)."""
        z: Tensor = self.trunk(x)
        return z


class Generator(nn.Module):
    """G: z ``[N, d]`` -> x ``[N, C, H, W]`` in [-1, 1]."""

    def __init__(self, shape: ImageShape, latent_dim: int, width: int, groups: int) -> None:
        super().__init__()
        sizes = _sizes(shape)[::-1]
        widths = _widths(width)[::-1]
        self.start = (widths[0], *sizes[0])
        self.project = nn.Linear(latent_dim, widths[0] * sizes[0][0] * sizes[0][1])
        layers: list[nn.Module] = []
        for before, after, size in zip(widths, [*widths[1:], width], sizes[1:], strict=True):
            layers += [
                nn.GroupNorm(groups, before),
                nn.ReLU(),
                # To the very size, so that odd sides come out right.
                nn.Upsample(size=size),
                nn.Conv2d(before, after, 3, padding=1),
            ]
        self.upsample = nn.Sequential(
            *layers, nn.ReLU(), nn.Conv2d(width, shape.channels, 3, padding=1), nn.Tanh()
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return G(z)."""
        x: Tensor = self.upsample(self.project(z).unflatten(1, self.start))
        return x


class Discriminator(nn.Module):
    """D: (x, z) -> (logits ``[N]``, joint features ``[N, 128]``)."""

    def __init__(self, shape: ImageShape, latent_dim: int, width: int, groups: int) -> None:
        super().__init__()
        self.image = nn.Sequential(_Trunk(shape, width, groups, _FEATURES), nn.LeakyReLU(0.2))
        self.latent = nn.Sequential(nn.Linear(latent_dim, _FEATURES), nn.LeakyReLU(0.2))
        self.joint = nn.Sequential(nn.Linear(2 * _FEATURES, _FEATURES), nn.LeakyReLU(0.2))
        self.head = nn.Linear(_FEATURES, 1)

    def image_features(self, x: Tensor) -> Tensor:
        """Return what D sees in the image alone, ``[N, 128]``; some score components use it."""
        features: Tensor = self.image(x)
        return features

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, positive for real images with their encodings, and features."""
        features: Tensor = self.joint(torch.cat([self.image_features(x), self.latent(z)], dim=1))
        return self.head(features).squeeze(1), features
