"""The three networks of ``resnet``.

Shapes in the comments: N images, C channels, H x W pixels, d latent dimensions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  what everybody calls it
from torch.nn.utils.parametrizations import spectral_norm

from bigan_cli.contracts import ImageShape

if TYPE_CHECKING:
    from bigan_resnet import ResnetOptions

Size = tuple[int, int]
Norm = Literal["none", "batch", "group"]

# Each side is halved as long as at least this is left of it.
_SMALLEST_SIDE = 4
# Maps double with every halving, up to this multiple of the first layer's.
_WIDEST = 8
_JOINT_FEATURES = 256
_SLOPE = 0.2
# Channels that are normalised together, at most.
_GROUP = 8


def map_sizes(image_shape: ImageShape, *, full_size: bool = False) -> list[Size]:
    """Return (height, width) of the feature maps, from half the image's own to the smallest.

    With *full_size* the image's own comes before them. The sides are halved each for itself, so
    that a long image ends small as well. There are two sizes at least, the same one twice where
    the image is small, and so one block.
    """
    first = 1 if full_size else 2
    sizes = [(image_shape.height // first, image_shape.width // first)]
    while max(sizes[-1]) >= 2 * _SMALLEST_SIDE or len(sizes) < 2:
        height, width = sizes[-1]
        sizes.append((_halved(height), _halved(width)))
    return sizes


def _halved(side: int) -> int:
    return side // 2 if side >= 2 * _SMALLEST_SIDE else side


def map_widths(base: int, sizes: list[Size]) -> list[int]:
    """Return how many feature maps there are at each of *sizes*."""
    return [base * min(2**stage, _WIDEST) for stage in range(len(sizes))]


class Down(nn.Module):
    """A residual block to smaller maps: ``[N, before, *large]`` -> ``[N, after, *small]``."""

    def __init__(
        self, before: int, after: int, sizes: tuple[Size, Size], *, norm: Norm, dropout: float = 0
    ) -> None:
        super().__init__()
        large, small = sizes
        self.stride = (large[0] // small[0], large[1] // small[1])
        # An odd side is rounded down, and its last row belongs to no pair.
        self.size = small
        self.first = nn.Conv2d(before, after, 3, stride=self.stride, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1)
        self.norms = nn.ModuleList(_norm(width, norm) for width in (before, after))
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        short: Tensor = self.skip(F.avg_pool2d(x, self.stride))
        deep = self.first(F.leaky_relu(self.norms[0](x), _SLOPE))[..., :height, :width]
        deep = self.second(F.leaky_relu(self.norms[1](deep), _SLOPE))
        result: Tensor = short + self.dropout(deep)
        return result


class Keep(nn.Module):
    """A residual block to maps of the same size: ``[N, width, ...]`` -> ``[N, width, ...]``."""

    def __init__(self, width: int, *, norm: Norm, dropout: float = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norms = nn.ModuleList(_norm(width, norm) for _ in range(2))
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.first(F.leaky_relu(self.norms[0](x), _SLOPE))
        deep = self.second(F.leaky_relu(self.norms[1](deep), _SLOPE))
        result: Tensor = x + self.dropout(deep)
        return result


class Up(nn.Module):
    """A residual block to larger maps: ``[N, before, ...]`` -> ``[N, after, *size]``."""

    def __init__(self, before: int, after: int, size: Size) -> None:
        super().__init__()
        self.size = size
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1)
        self.norms = nn.ModuleList(_norm(width, "batch") for width in (before, after))

    def forward(self, x: Tensor) -> Tensor:
        # Convolved before they grow, where that costs a quarter.
        short = F.interpolate(self.skip(x), self.size)
        deep = F.interpolate(self.first(F.relu(self.norms[0](x))), self.size)
        result: Tensor = short + self.second(F.relu(self.norms[1](deep)))
        return result


class Attention(nn.Module):
    """Lets every position of the maps look at every other; does nothing until it has learned to."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv2d(width, max(width // 8, 1), 1) for _ in range(2))
        self.value = nn.Conv2d(width, max(width // 2, 1), 1)
        self.out = nn.Conv2d(max(width // 2, 1), width, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value)  # [N, HW, width / 2]
        result: Tensor = x + self.gain * self.out(seen.transpose(1, 2).unflatten(2, x.shape[2:]))
        return result


class Encoder(nn.Module):
    """E: x ``[N, C, H, W]`` in [-1, 1] -> z ``[N, d]``."""

    def __init__(self, shape: ImageShape, latent_dim: int, options: ResnetOptions) -> None:
        super().__init__()
        sizes = map_sizes(shape)
        widths = map_widths(options.feature_maps_gen, sizes)
        self.trunk = nn.Sequential(
            *_going_down(shape.channels, sizes, widths, options.attention, norm="batch"),
            nn.BatchNorm2d(widths[-1]),
            nn.LeakyReLU(_SLOPE),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1] * sizes[-1][0] * sizes[-1][1], latent_dim)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature maps, ``[N, K]``, before they are narrowed to z."""
        maps: Tensor = self.trunk(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.head(self.features(x))
        return z


class Generator(nn.Module):
    """G: z ``[N, d]`` -> x ``[N, C, H, W]`` in [-1, 1]."""

    def __init__(self, shape: ImageShape, latent_dim: int, options: ResnetOptions) -> None:
        super().__init__()
        sizes = map_sizes(shape)[::-1]
        widths = map_widths(options.feature_maps_gen, sizes)[::-1]
        self.start = (widths[0], *sizes[0])
        self.project = nn.Linear(latent_dim, widths[0] * sizes[0][0] * sizes[0][1])
        attended = _attended(sizes, options.attention)
        layers: list[nn.Module] = [Attention(widths[0])] if sizes[0] == attended else []
        for (before, after), size in zip(pairwise(widths), sizes[1:], strict=True):
            layers.append(Up(before, after, size))
            if size == attended:
                layers.append(Attention(after))
        # An odd side was rounded down on the way in: give the pixel back.
        odd = (shape.height % 2, shape.width % 2)
        self.trunk = nn.Sequential(
            *layers,
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(),
            nn.ConvTranspose2d(widths[-1], shape.channels, 4, 2, 1, output_padding=odd),
        )
        self.sigmoid = options.output == "sigmoid"
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.trunk(self.project(z).unflatten(1, self.start))
        # A sigmoid's [0, 1] is stretched to the [-1, 1] that images have inside the model.
        return 2 * torch.sigmoid(x) - 1 if self.sigmoid else torch.tanh(x)


class Discriminator(nn.Module):
    """D: (x, z) -> (logits ``[N]``, joint features ``[N, 256]``)."""

    def __init__(self, shape: ImageShape, latent_dim: int, options: ResnetOptions) -> None:
        super().__init__()
        sizes = map_sizes(shape, full_size=options.full_size_disc)
        widths = map_widths(options.feature_maps_disc, sizes)
        dropout, norm = options.dropout_rate, options.norm_disc
        places = 1 if options.pool_disc else sizes[-1][0] * sizes[-1][1]
        # Disabled layers are left out of the sequence: saved weights are named by their index.
        self.image_trunk = nn.Sequential(
            *_going_down(
                shape.channels,
                sizes,
                widths,
                options.attention,
                norm=norm,
                dropout=dropout,
                blocks=options.blocks_disc,
                full_size=options.full_size_disc,
            ),
            *([] if norm == "none" else [_norm(widths[-1], norm)]),
            nn.LeakyReLU(_SLOPE),
            *([nn.AdaptiveAvgPool2d(1)] if options.pool_disc else []),
            nn.Flatten(),
            nn.Linear(widths[-1] * places, _JOINT_FEATURES),
            nn.LeakyReLU(_SLOPE),
        )
        self.latent_trunk = nn.Sequential(
            nn.Linear(latent_dim, _JOINT_FEATURES), nn.LeakyReLU(_SLOPE), nn.Dropout(dropout)
        )
        self.joint = nn.Sequential(
            nn.Linear(2 * _JOINT_FEATURES, _JOINT_FEATURES),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(_JOINT_FEATURES, 1)
        initialise(self)
        if options.spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    spectral_norm(module)

    def image_features(self, x: Tensor) -> Tensor:
        """Return what the discriminator sees in the image alone, ``[N, 256]``."""
        features: Tensor = self.image_trunk(x)
        return features

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([self.image_features(x), self.latent_trunk(z)], dim=1)
        features: Tensor = self.joint(both)
        return self.head(features).squeeze(1), features


def _going_down(
    channels: int,
    sizes: list[Size],
    widths: list[int],
    attention: int,
    *,
    norm: Norm,
    dropout: float = 0,
    blocks: int = 1,
    full_size: bool = False,
) -> list[nn.Module]:
    """Return the layers from an image to maps of the smallest of *sizes*.

    Args:
        channels: Of the image.
        sizes: Of the maps, one after the other.
        widths: How many maps there are at each of them.
        attention: Self-attention on the largest maps with no side above this.
        norm: Before every activation.
        dropout: In every block.
        blocks: At each size, the one that leads to it included.
        full_size: Whether the first of *sizes* is the image's own, and not half of it.
    """
    attended = _attended(sizes, attention)

    def kept(width: int, times: int) -> list[nn.Module]:
        return [Keep(width, norm=norm, dropout=dropout) for _ in range(times)]

    layers: list[nn.Module] = []
    if full_size:
        layers += [nn.Conv2d(channels, widths[0], 3, padding=1), *kept(widths[0], blocks)]
    else:
        layers.append(nn.Conv2d(channels, widths[0], 4, stride=2, padding=1))
    if sizes[0] == attended:
        layers.append(Attention(widths[0]))
    for (before, after), pair in zip(pairwise(widths), pairwise(sizes), strict=True):
        layers.append(Down(before, after, pair, norm=norm, dropout=dropout))
        layers += kept(after, blocks - 1)
        if pair[1] == attended:
            layers.append(Attention(after))
    return layers


def _attended(sizes: list[Size], attention: int) -> Size | None:
    """Return the largest of *sizes* with no side above *attention*, or None."""
    return max((size for size in sizes if max(size) <= attention), default=None)


def _norm(width: int, norm: Norm) -> nn.Module:
    if norm == "group":
        group = next(size for size in range(min(width, _GROUP), 0, -1) if width % size == 0)
        return nn.GroupNorm(width // group, width)
    return nn.BatchNorm2d(width) if norm == "batch" else nn.Identity()


def initialise(network: nn.Module) -> None:
    """Draw orthogonal weights for every convolution and linear layer; biases become zero."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.orthogonal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
