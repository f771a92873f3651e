"""``dcgan``: strided convolutions that adapt to any image size of 8 pixels and more.

The generator and encoder follow Radford et al. 2015 (arXiv 1511.06434): strided convolutions,
batch normalisation, no pooling. The joint discriminator has a trunk for the image, one for the
latent vector, and a head over both (Donahue et al. 2016, arXiv 1605.09782); spectral
normalisation (Miyato et al. 2018, arXiv 1802.05957) takes the place of batch normalisation in
it, so that real and generated pairs can share one pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bigan_cli.contracts import Architecture, ImageShape, Options
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


class DcganOptions(Options):
    """Options of the ``dcgan`` architecture."""

    feature_maps_gen: int = Field(
        32,
        ge=4,
        le=512,
        description="Base feature maps of generator and encoder. The layer next to the image has "
        "that many; they double with every halving of the size, up to eight times as many.",
    )
    feature_maps_disc: int = Field(
        32,
        ge=4,
        le=512,
        description="Base feature maps of the discriminator. They double likewise.",
    )
    dropout_rate: float = Field(
        0.0, ge=0, lt=1, description="Dropout rate in the discriminator's trunks."
    )
    output: Literal["tanh", "sigmoid"] = Field(
        "tanh", description="Output activation of the generator."
    )
    spectral_norm: bool = Field(
        False, description="Spectral normalisation of every layer of the discriminator."
    )
    initialisation: Literal["normal", "xavier", "kaiming", "orthogonal"] = Field(
        "orthogonal", description="Weight initialisation; normal is N(0, 0.02)."
    )


class Dcgan(Architecture):
    """Three convolutional networks whose depth follows the image size."""

    name = "dcgan"
    summary = "convolutional encoder, generator and joint discriminator, 8 pixels and up"
    Options = DcganOptions

    def build(
        self, image_shape: ImageShape, latent_dim: int
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return (encoder, generator, discriminator) for *image_shape*; see the base class."""
        from bigan_cli.architectures._dcgan_networks import (
            DcganDiscriminator,
            DcganEncoder,
            DcganGenerator,
        )

        options: DcganOptions = self.options
        return (
            DcganEncoder(image_shape, latent_dim, options),
            DcganGenerator(image_shape, latent_dim, options),
            DcganDiscriminator(image_shape, latent_dim, options),
        )


@hookimpl
def bigan_architectures() -> list[type[Architecture]]:
    """Provide ``dcgan``."""
    return [Dcgan]
