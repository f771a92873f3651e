"""The three networks as one module, built from an architecture and checked against its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from bigan_cli.contracts import Architecture, ImageShape
from bigan_cli.errors import UsageError
from bigan_cli.model import architecture_calls
from bigan_cli.model.cycle_discriminators import make_cycle_discriminators


class Networks(nn.Module):
    """Encoder E, generator G and joint discriminator D of one BiGAN.

    Where there is a feature extractor, x below is its output, a feature map ``[N, K, h, w]``, z
    is ``[N, d, h, w]`` and logits are ``[N, h, w]``; see :class:`bigan_cli.contracts.Architecture`.

    Attributes:
        extractor: Frozen: images ``[N, C, H, W]`` -> ``[N, K, h, w]``; None for pixels.
        decoder: Feature map -> image; None if G generates images directly.
        encoder: x ``[N, C, H, W]`` -> z ``[N, d]``.
        generator: z ``[N, d]`` -> x ``[N, C, H, W]``.
        discriminator: (x, z) -> (logits ``[N]``, features ``[N, F]``).
        heads: Linear heads on the discriminator's image features, by name: features ``[N, K]`` ->
            ``[N, outputs]``. They are trained with the discriminator.
        cycle_discriminators: The cycle discriminators, by name: two images, or two latent vectors
            -> (logits ``[N]``, features ``[N, F]``). They are trained with the discriminator, too.
        image_shape: C, H and W of the images.
        input_shape: Shape of the inputs of E and D: the image shape, or that of the feature map.
        latent_dim: d.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        image_shape: ImageShape,
        latent_dim: int,
        extractor: nn.Module | None = None,
        decoder: nn.Module | None = None,
        input_shape: ImageShape | None = None,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.decoder = decoder
        self.input_shape = input_shape or image_shape
        self.encoder = encoder
        self.generator = generator
        self.discriminator = discriminator
        self.heads = nn.ModuleDict()
        self.cycle_discriminators = nn.ModuleDict()
        self.image_shape = image_shape
        self.latent_dim = latent_dim

    @property
    def layer_channels(self) -> tuple[int, ...]:
        """How many channels of the inputs come from each layer of the extractor, finest first."""
        channels: tuple[int, ...] | None = getattr(self.extractor, "layer_channels", None)
        return channels or (self.input_shape.channels,)

    @property
    def on_feature_map(self) -> bool:
        """Whether the networks work at every position of a feature map."""
        return self.extractor is not None

    def prior(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Return samples of z from N(0, I), ``[count, d]``; on feature maps ``[count, d, 1, 1]``.

        They are on the device of the networks, or of *generator* if one is given.
        """
        position = (1, 1) if self.on_feature_map else ()
        device = next(self.encoder.parameters()).device if generator is None else generator.device
        return torch.randn(count, self.latent_dim, *position, generator=generator, device=device)

    def inputs(self, images: Tensor) -> Tensor:
        """Return the inputs of E and D for images ``[N, C, H, W]`` in [-1, 1]."""
        if self.extractor is None:
            return images
        features: Tensor = self.extractor(images)
        return features

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all networks except the extractor, which is frozen."""
        super().train(mode)
        if self.extractor is not None:
            self.extractor.eval()
        return self

    @property
    def has_image_features(self) -> bool:
        """Whether the discriminator has features of the image alone."""
        return callable(getattr(self.discriminator, "image_features", None))

    @property
    def has_encoder_features(self) -> bool:
        """Whether the encoder has features before its last layer."""
        return callable(getattr(self.encoder, "features", None))


def build_networks(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    seed: int,
    heads: Mapping[str, int] | None = None,
    cycle_discriminators: Sequence[str] = (),
    *,
    pretrained: bool = True,
) -> Networks:
    """Build networks initialised with *seed*, and check the contract of the architecture.

    The caller's random state is not changed.

    Args:
        architecture: The architecture.
        image_shape: Shape of the images.
        latent_dim: Length of the latent vector.
        seed: Seed of the initialisation.
        heads: Name -> outputs of each head on the discriminator's image features; left out
            if the discriminator has none.
        cycle_discriminators: Names of the cycle discriminators.
        pretrained: Whether a feature extractor gets its pretrained weights.

    Raises:
        PluginError: The architecture violates its contract (wrong shapes, values not finite).
        UsageError: The architecture does not support this image shape.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        networks = assemble(architecture, image_shape, latent_dim, pretrained=pretrained)
        architecture_calls.check_networks(architecture, networks)
        add_heads(networks, heads or {})
        add_cycle_discriminators(networks, cycle_discriminators)
    return networks


@torch.no_grad()
def assemble(
    architecture: Architecture, image_shape: ImageShape, latent_dim: int, *, pretrained: bool
) -> Networks:
    """Return the networks of *architecture*, unchecked; uses torch's global generator."""
    extractor = architecture_calls.feature_extractor(
        architecture, image_shape, pretrained=pretrained
    )
    if extractor is None:
        return Networks(
            *architecture_calls.build(architecture, image_shape, latent_dim),
            image_shape=image_shape,
            latent_dim=latent_dim,
        )
    feature_shape = architecture_calls.feature_shape(architecture, extractor, image_shape)
    return Networks(
        *architecture_calls.build(architecture, feature_shape, latent_dim),
        image_shape=image_shape,
        latent_dim=latent_dim,
        extractor=extractor,
        decoder=architecture_calls.decoder(architecture, feature_shape, image_shape),
        input_shape=feature_shape,
    )


@torch.no_grad()
def add_heads(networks: Networks, heads: Mapping[str, int]) -> None:
    """Add newly initialised heads (name -> outputs) on the discriminator's image features.

    None are added if the discriminator has no image features.
    """
    if not heads or not networks.has_image_features:
        return
    shape = networks.input_shape
    x = torch.zeros(2, shape.channels, shape.height, shape.width)
    features: Tensor = networks.discriminator.image_features(x)  # type: ignore[operator]
    for name, outputs in heads.items():
        networks.heads[name] = nn.Linear(features.shape[1], outputs)


def add_cycle_discriminators(networks: Networks, names: Sequence[str]) -> None:
    """Add newly initialised cycle discriminators, by their names.

    Raises:
        UsageError: The networks work on feature maps, where there are none.
    """
    if names and networks.on_feature_map:
        raise UsageError(
            "adversarial cycles are for architectures on pixels",
            "set 'train.adversarial_image_cycle_weight' and "
            "'train.adversarial_latent_cycle_weight' to 0",
        )
    made = make_cycle_discriminators(names, networks.image_shape, networks.latent_dim)
    networks.cycle_discriminators.update(made)


def heads_of(networks: Networks) -> dict[str, int]:
    """Return name -> outputs of each head, as for :func:`build_networks`."""
    return {name: int(head.out_features) for name, head in networks.heads.items()}  # type: ignore[arg-type]


def apply_head(head: nn.Module, features: Tensor) -> Tensor:
    """Return the outputs of a linear head: ``[N, K]`` -> ``[N, M]``, or at every position of a map.

    A map ``[N, K, h, w]`` becomes ``[N, M, h, w]``.
    """
    if features.ndim == 2:
        outputs: Tensor = head(features)
        return outputs
    at_positions: Tensor = head(features.movedim(1, -1))
    return at_positions.movedim(-1, 1)


def to_model_range(pixels: Tensor) -> Tensor:
    """Convert uint8 pixels 0..255 to float32 in [-1, 1]; features, which are float, stay."""
    if pixels.is_floating_point():
        return pixels.to(torch.float32)
    return pixels.to(torch.float32) / 127.5 - 1


def to_pixels(x: Tensor) -> Tensor:
    """Convert images in [-1, 1] to uint8 pixels 0..255, rounded to the nearest."""
    return ((x.to(torch.float32) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
