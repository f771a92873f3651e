"""``resnet``: residual networks for bigan, from 8 pixels a side up.

Residual blocks as in He et al. 2016 (arXiv 1603.05027: activation before convolution), in the
roles they have in Miyato et al. 2018 (arXiv 1802.05957): batch normalisation in the encoder and
the generator, spectral normalisation in the discriminator. Self-attention, if enabled,
follows Zhang et al. 2018 (arXiv 1805.08318), group normalisation Wu and He 2018 (arXiv
1803.08494).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bigan_cli.contracts import Architecture, ImageShape, Options
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


class ResnetOptions(Options):
    """Options of the ``resnet`` architecture."""

    feature_maps_gen: int = Field(
        32,
        ge=4,
        le=512,
        description="Feature maps of the generator and the encoder at half the image's size; "
        "they double with every halving, up to eight times.",
    )
    feature_maps_disc: int = Field(32, ge=4, le=512, description="The same of the discriminator.")
    attention: int = Field(
        0,
        ge=0,
        le=64,
        description="Self-attention on the largest maps with no side above this; 0 for none.",
    )
    dropout_rate: float = Field(0.0, ge=0, lt=1, description="Dropout in the discriminator.")
    output: Literal["tanh", "sigmoid"] = Field(
        "tanh", description="The generator's last non-linearity."
    )
    spectral_norm: bool = Field(
        False, description="Spectral normalisation of every layer of the discriminator."
    )
    full_size_disc: bool = Field(
        False,
        description="Start the discriminator's maps of the image at its full size, and not at "
        "half of it; slower.",
    )
    blocks_disc: int = Field(
        1,
        ge=1,
        le=8,
        description="Residual blocks at each size of the discriminator's maps of the image.",
    )
    norm_disc: Literal["none", "group"] = Field(
        "none",
        description="Group normalisation before every activation of the discriminator's maps of "
        "the image, or none.",
    )
    pool_disc: bool = Field(
        False,
        description="Average the discriminator's last maps of the image over their positions, and "
        "do not flatten them.",
    )


class Resnet(Architecture):
    """Three residual networks whose depth follows the image size."""

    name = "resnet"
    summary = "residual encoder, generator and joint discriminator, 8 pixels and up"
    Options = ResnetOptions

    def build(
        self, image_shape: ImageShape, latent_dim: int
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return (encoder, generator, discriminator) for *image_shape*; see the base class."""
        from bigan_resnet._networks import Discriminator, Encoder, Generator

        options: ResnetOptions = self.options
        return (
            Encoder(image_shape, latent_dim, options),
            Generator(image_shape, latent_dim, options),
            Discriminator(image_shape, latent_dim, options),
        )


@hookimpl
def bigan_architectures() -> list[type[Architecture]]:
    """Provide ``resnet``."""
    return [Resnet]
