"""Small networks with random weights, for the checks of score components."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.cycle_discriminators import IMAGE, LATENT
from bigan_cli.model.networks import Networks, add_cycle_discriminators, add_heads
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.scoring.inference_networks import InferenceNetworks, prepare_for_inference

LATENT_DIM = 6
_FEATURES = 10


class _PlainEncoder(nn.Module):
    """E without features."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(pixels, _FEATURES)
        self.linear = nn.Linear(_FEATURES, LATENT_DIM)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.linear(torch.tanh(self.hidden(x.flatten(1))))
        return z


class _Encoder(_PlainEncoder):
    """E with features."""

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.hidden(x.flatten(1)))
        return features


class _Generator(nn.Module):
    def __init__(self, shape: ImageShape, pixels: int) -> None:
        super().__init__()
        self.shape = (shape.channels, shape.height, shape.width)
        self.linear = nn.Linear(LATENT_DIM, pixels)

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = torch.tanh(self.linear(z)).unflatten(1, self.shape)
        return x


class _PlainDiscriminator(nn.Module):
    """D without image features."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.image = nn.Linear(pixels, _FEATURES)
        self.latent = nn.Linear(LATENT_DIM, _FEATURES)
        self.head = nn.Linear(_FEATURES, 1)

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.tanh(self.image(x.flatten(1)) + self.latent(z))
        return self.head(features).squeeze(1), features


class _Discriminator(_PlainDiscriminator):
    """D with image features."""

    def image_features(self, x: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.image(x.flatten(1)))
        return features


def small_networks(shape: ImageShape, *, optional: bool = True) -> Networks:
    """Return networks for *shape* in ``eval()``, the same in every call.

    Args:
        shape: Shape of the images.
        optional: Whether to include the optional parts: features of the encoder, image features
            of the discriminator, the heads on these, and cycle discriminators.
    """
    pixels = shape.channels * shape.height * shape.width
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        discriminator = (_Discriminator if optional else _PlainDiscriminator)(pixels)
        encoder = (_Encoder if optional else _PlainEncoder)(pixels)
        networks = Networks(encoder, _Generator(shape, pixels), discriminator, shape, LATENT_DIM)
        every = TrainConfig(
            distortion_weight=1.0, rotation_weight=1.0, shift_weight=1.0, flip_weight=1.0
        )
        add_heads(networks, wanted_heads(every, shape))
        add_cycle_discriminators(networks, (IMAGE, LATENT) if optional else ())
    return networks.eval().requires_grad_(False)


@cache
def inference_networks(shape: ImageShape, *, optional: bool = True) -> InferenceNetworks:
    """Return :func:`small_networks` prepared for inference; every caller shares them."""
    return prepare_for_inference(small_networks(shape, optional=optional))


class _Pixels(nn.Module):
    """A feature extractor whose features are the pixels."""

    def raw(self, x: Tensor) -> Tensor:
        return x

    def normalise(self, raw: Tensor) -> Tensor:
        return raw

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(self.raw(x))


class _PositionwiseDiscriminator(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(channels, _FEATURES, 1)
        self.latent = nn.Conv2d(LATENT_DIM, _FEATURES, 1)
        self.head = nn.Conv2d(_FEATURES, 1, 1)

    def image_features(self, f: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.trunk(f))
        return features

    def forward(self, f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.tanh(self.trunk(f) + self.latent(z))
        return self.head(features).squeeze(1), features


def small_feature_map_networks(shape: ImageShape) -> Networks:
    """Return networks on feature maps for *shape* in ``eval()``, the same in every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = Networks(
            nn.Conv2d(shape.channels, LATENT_DIM, 1),
            nn.Conv2d(LATENT_DIM, shape.channels, 1),
            _PositionwiseDiscriminator(shape.channels),
            shape,
            LATENT_DIM,
            extractor=_Pixels(),
            input_shape=shape,
        )
        add_heads(networks, {"distortion": 1})
    return networks.eval().requires_grad_(False)
