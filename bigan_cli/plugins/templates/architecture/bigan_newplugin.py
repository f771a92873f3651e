"""The architecture ``newplugin`` for bigan.

It works without changes, for any image size: three small convolutional networks. They are in
``bigan_newplugin_networks.py``, which is imported when a run builds them: listing plugins
needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import Architecture, ImageShape, Options
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import nn


class NewPluginOptions(Options):
    """The table ``[model.options]`` of a config file that uses this architecture."""

    width: int = Field(24, ge=4, le=512, description="Feature maps of the first layer.")
    groups: int = Field(4, ge=1, le=4, description="Groups of the group normalisation.")


class NewPluginArchitecture(Architecture):
    """Strided convolutions with group normalisation."""

    name = "newplugin"
    summary = "small convolutional networks with group normalisation, any image size"
    Options = NewPluginOptions

    def build(
        self, image_shape: ImageShape, latent_dim: int
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return (encoder, generator, discriminator) for *image_shape*."""
        from bigan_newplugin_networks import Discriminator, Encoder, Generator

        # Group normalisation needs widths that its groups divide.
        width = self.options.width - self.options.width % self.options.groups
        sizes = (image_shape, latent_dim, width, self.options.groups)
        return Encoder(*sizes), Generator(*sizes), Discriminator(*sizes)


@hookimpl
def bigan_architectures() -> list[type[Architecture]]:
    """Provide the architecture."""
    return [NewPluginArchitecture]
