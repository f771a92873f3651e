"""The contract of architectures: encoder, generator and discriminator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bigan_cli.contracts.images import ImageShape
from bigan_cli.contracts.options import AnyOptions, Options

if TYPE_CHECKING:
    from torch import nn


class Architecture(ABC):
    """A recipe for the networks of a BiGAN, for any image shape it supports.

    There are two kinds. On *pixels*, E and D take images and G generates them. On *features*, a
    frozen extractor maps the image to a feature map once, and E, G and D work at every position of
    that map; such an architecture defines :meth:`feature_extractor`.

    Class attributes:
        name: Unique, lower case, words joined by ``_``.
        summary: One line for tables and help.
        Options: Its typed options, the table ``[model.options]`` of a config file.
        preset: Config tables that suit this architecture better than the general defaults; they
            rank below everything that the user gives.
        provided_by: See :class:`Dataset`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[AnyOptions]] = Options
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    provided_by: str = ""

    def __init__(self, options: AnyOptions) -> None:
        self.options: Any = options

    @abstractmethod
    def build(
        self, image_shape: ImageShape, latent_dim: int
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return a newly initialised (encoder, generator, discriminator).

        * encoder: x ``[N, C, H, W]`` in [-1, 1] -> z ``[N, latent_dim]``, prior N(0, I). It may
          also have a method ``features(x)`` -> ``[N, K]``, its features before the last layer;
        * generator: z ``[N, latent_dim]`` -> x ``[N, C, H, W]`` in [-1, 1];
        * discriminator: (x, z) -> (logits ``[N]``, joint features ``[N, F]``); a positive logit
          means "a real image with its encoding". It may also have a method
          ``image_features(x)`` -> ``[N, K]``, features of the image alone.

        In ``eval()`` an output must not depend on the other images of its batch, and the results
        of ``features`` and ``image_features`` must not be modified in place: they are computed
        once and used by scores, too. Initialise weights with torch's global generator, which
        the run seeds.

        For an architecture on features, *image_shape* is the shape of the feature map, K channels
        by h by w. x is the map ``[N, K, h, w]``, unbounded, and z ``[N, latent_dim, h, w]``;
        D returns logits ``[N, h, w]`` and features ``[N, F, h, w]``. Each position must be
        computed from that position alone: networks are trained on single positions, h = w = 1.

        Raises:
            UsageError: The image shape is not supported.
        """

    def feature_extractor(self, image_shape: ImageShape, *, pretrained: bool) -> nn.Module | None:
        """Return a frozen network that maps images to features, or None for pixels.

        The module maps x ``[N, C, H, W]`` in [-1, 1] to a feature map ``[N, K, h, w]``, by two
        methods: ``normalise(raw(x))``, both of that shape. Its method ``fit(vectors)`` estimates
        the normalisation from what ``raw`` returns for training images, ``[M, K]``. An attribute
        ``layer_channels``, ints that add up to K, may say how many channels come from which layer
        of the network, finest first; by default all are of one layer.

        Args:
            image_shape: Shape of the images.
            pretrained: Whether to load the pretrained weights. False where a model file
                supplies them: the weights need not be installed then.

        Raises:
            UsageError: The weights are not installed, or are not those that were expected.
        """
        return None

    def decoder(self, feature_shape: ImageShape, image_shape: ImageShape) -> nn.Module | None:
        """Return a network that decodes images from feature maps, for reconstructions, or None.

        It maps ``[N, K, h, w]`` to ``[N, C, H, W]`` in [-1, 1]. It is trained with E, G and D and
        does not affect the score.
        """
        return None
