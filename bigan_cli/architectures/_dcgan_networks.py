"""The three networks of ``dcgan``.

Shapes in the comments: N images, C channels, H x W pixels, d latent dimensions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bigan_cli.contracts import ImageShape
from bigan_cli.spectral_norm import spectral_norm

if TYPE_CHECKING:
    from bigan_cli.architectures.dcgan import DcganOptions

# Halving stops before the smaller side falls below this, ...
_SMALLEST_MAP = 3
# ... but the smallest images, too, get more than one convolution.
_FEWEST_STAGES = 2
# Maps double with every halving, up to this multiple of the first layer's.
_WIDEST = 8
_JOINT_FEATURES = 256
_SLOPE = 0.2


def map_sizes(image_shape: ImageShape) -> list[tuple[int, int]]:
    """Return (height, width) of the feature maps, from the image's own down to the smallest."""
    sizes = [(image_shape.height, image_shape.width)]
    while len(sizes) <= _FEWEST_STAGES or min(sizes[-1]) // 2 >= _SMALLEST_MAP:
        height, width = sizes[-1]
        sizes.append((height // 2, width // 2))
    return sizes


def _widths(base: int, stages: int) -> list[int]:
    return [base * min(2**stage, _WIDEST) for stage in range(stages)]


class DcganEncoder(nn.Module):
    """E: x ``[N, C, H, W]`` in [-1, 1] -> z ``[N, d]``."""

    def __init__(self, shape: ImageShape, latent_dim: int, options: DcganOptions) -> None:
        super().__init__()
        sizes = map_sizes(shape)
        widths = _widths(options.feature_maps_gen, len(sizes) - 1)
        layers: list[nn.Module] = []
        for stage, (before, after) in enumerate(
            zip([shape.channels, *widths[:-1]], widths, strict=True)
        ):
            first = stage == 0
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=first))
            if not first:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.LeakyReLU(_SLOPE))
        height, width = sizes[-1]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * height * width, latent_dim)
        initialise(self, options.initialisation)

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature maps, ``[N, K]``, before they are narrowed to z."""
        maps: Tensor = self.trunk(x)
        return maps.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.head(self.features(x))
        return z


class DcganGenerator(nn.Module):
    """G: z ``[N, d]`` -> x ``[N, C, H, W]`` in [-1, 1]."""

    def __init__(self, shape: ImageShape, latent_dim: int, options: DcganOptions) -> None:
        super().__init__()
        sizes = map_sizes(shape)[::-1]
        widths = _widths(options.feature_maps_gen, len(sizes) - 1)[::-1]
        self.start = (widths[0], *sizes[0])
        self.project = nn.Sequential(
            nn.Linear(latent_dim, widths[0] * sizes[0][0] * sizes[0][1], bias=False),
            nn.BatchNorm1d(widths[0] * sizes[0][0] * sizes[0][1]),
            nn.ReLU(),
        )
        layers: list[nn.Module] = []
        last = len(sizes) - 2
        for stage, (small, large) in enumerate(pairwise(sizes)):
            after = widths[stage + 1] if stage < last else shape.channels
            layers.append(
                nn.ConvTranspose2d(
                    widths[stage],
                    after,
                    4,
                    stride=2,
                    padding=1,
                    # An odd side was rounded down on the way in: give the pixel back.
                    output_padding=(large[0] - 2 * small[0], large[1] - 2 * small[1]),
                    bias=stage == last,
                )
            )
            if stage < last:
                layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.upsample = nn.Sequential(*layers)
        self.sigmoid = options.output == "sigmoid"
        initialise(self, options.initialisation)

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.upsample(self.project(z).unflatten(1, self.start))
        # A sigmoid's [0, 1] is stretched to the [-1, 1] that images have inside the model.
        return 2 * torch.sigmoid(x) - 1 if self.sigmoid else torch.tanh(x)


class DcganDiscriminator(nn.Module):
    """D: (x, z) -> (logits ``[N]``, joint features ``[N, 256]``)."""

    def __init__(self, shape: ImageShape, latent_dim: int, options: DcganOptions) -> None:
        super().__init__()
        sizes = map_sizes(shape)
        widths = _widths(options.feature_maps_disc, len(sizes) - 1)
        image: list[nn.Module] = []
        for before, after in zip([shape.channels, *widths[:-1]], widths, strict=True):
            image += [
                nn.Conv2d(before, after, 4, stride=2, padding=1),
                nn.LeakyReLU(_SLOPE),
                nn.Dropout2d(options.dropout_rate),
            ]
        height, width = sizes[-1]
        self.image_trunk = nn.Sequential(
            *image,
            nn.Flatten(),
            nn.Linear(widths[-1] * height * width, _JOINT_FEATURES),
            nn.LeakyReLU(_SLOPE),
        )
        self.latent_trunk = nn.Sequential(
            nn.Linear(latent_dim, _JOINT_FEATURES),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout(options.dropout_rate),
        )
        self.joint = nn.Sequential(
            nn.Linear(2 * _JOINT_FEATURES, _JOINT_FEATURES),
            nn.LeakyReLU(_SLOPE),
            nn.Dropout(options.dropout_rate),
        )
        self.head = nn.Linear(_JOINT_FEATURES, 1)
        initialise(self, options.initialisation)
        if options.spectral_norm:
            for module in self.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    spectral_norm(module)

    def image_features(self, x: Tensor) -> Tensor:
        """Return what the discriminator sees in the image alone, ``[N, 256]``."""
        features: Tensor = self.image_trunk(x)
        return features

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        features: Tensor = self.joint(
            torch.cat([self.image_features(x), self.latent_trunk(z)], dim=1)
        )
        return self.head(features).squeeze(1), features


def initialise(network: nn.Module, scheme: str) -> None:
    """Draw the weights of every convolution and linear layer; biases become zero."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            if scheme == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif scheme == "xavier":
                nn.init.xavier_uniform_(module.weight)
            elif scheme == "kaiming":
                nn.init.kaiming_normal_(module.weight, a=_SLOPE)
            else:
                nn.init.orthogonal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
