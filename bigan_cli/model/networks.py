"""The three networks as one module, built from an architecture and checked against its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bigan_cli.contracts import Architecture, ImageShape
from bigan_cli.errors import PluginError
from bigan_cli.model.cycle_discriminators import make_conditional


class Networks(nn.Module):
    """Encoder E, generator G and joint discriminator D of one BiGAN.

    Attributes:
        encoder: x ``[N, C, H, W]`` -> z ``[N, d]``.
        generator: z ``[N, d]`` -> x ``[N, C, H, W]``.
        discriminator: (x, z) -> (logits ``[N]``, features ``[N, F]``).
        heads: What else is read from the discriminator's view of the image, by name: features
            ``[N, K]`` -> ``[N, outputs]``. They learn with the discriminator.
        conditional: The conditional discriminators, by name: two images, or two latent vectors
            -> (logits ``[N]``, features ``[N, F]``). They learn with the discriminator, too.
        image_shape: C, H and W.
        latent_dim: d.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        image_shape: ImageShape,
        latent_dim: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.generator = generator
        self.discriminator = discriminator
        self.heads = nn.ModuleDict()
        self.conditional = nn.ModuleDict()
        self.image_shape = image_shape
        self.latent_dim = latent_dim

    @property
    def has_image_features(self) -> bool:
        """Whether the discriminator offers its view of the image alone."""
        return callable(getattr(self.discriminator, "image_features", None))

    @property
    def has_encoder_features(self) -> bool:
        """Whether the encoder offers what it sees before it narrows that to the latent vector."""
        return callable(getattr(self.encoder, "features", None))


def build_networks(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    seed: int,
    heads: Mapping[str, int] | None = None,
    conditional: Sequence[str] = (),
) -> Networks:
    """Build the networks with weights decided by *seed*, and check that they keep the contract.

    The caller's random state is left as it was.

    Args:
        architecture: What to build.
        image_shape: Of the images.
        latent_dim: Length of the latent vector.
        seed: Decides the weights.
        heads: Name -> outputs of each head on the discriminator's image features; left out
            where the discriminator has none.
        conditional: Names of the conditional discriminators.

    Raises:
        PluginError: The architecture broke its contract (wrong shapes, values that are not finite).
        UsageError: The architecture does not support this image shape.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        networks = Networks(
            *architecture.build(image_shape, latent_dim),
            image_shape=image_shape,
            latent_dim=latent_dim,
        )
        _check_contract(architecture.name, networks)
        add_heads(networks, heads or {})
        add_conditional(networks, conditional)
    return networks


@torch.no_grad()
def add_heads(networks: Networks, heads: Mapping[str, int]) -> None:
    """Put freshly drawn heads (name -> outputs) on the discriminator's image features.

    None of them where the discriminator offers no such view.
    """
    if not heads or not networks.has_image_features:
        return
    shape = networks.image_shape
    x = torch.zeros(2, shape.channels, shape.height, shape.width)
    seen: Tensor = networks.discriminator.image_features(x)  # type: ignore[operator]
    for name, outputs in heads.items():
        networks.heads[name] = nn.Linear(seen.shape[1], outputs)


def add_conditional(networks: Networks, names: Sequence[str]) -> None:
    """Add freshly drawn conditional discriminators, by their names."""
    made = make_conditional(names, networks.image_shape, networks.latent_dim)
    networks.conditional.update(made)


def heads_of(networks: Networks) -> dict[str, int]:
    """Return name -> outputs of each head, as :func:`build_networks` takes them."""
    return {name: int(head.out_features) for name, head in networks.heads.items()}  # type: ignore[arg-type]


@torch.no_grad()
def _check_contract(name: str, networks: Networks) -> None:
    shape = networks.image_shape
    x = torch.rand(2, shape.channels, shape.height, shape.width) * 2 - 1
    z = torch.randn(2, networks.latent_dim)
    networks.eval()
    encoded: Tensor = networks.encoder(x)
    generated: Tensor = networks.generator(z)
    logits, features = networks.discriminator(x, z)
    networks.train()
    expected = {
        "encoder": (encoded, tuple(z.shape)),
        "generator": (generated, tuple(x.shape)),
        "discriminator's logits": (logits, (2,)),
        "discriminator's features": (features, (2, features[0].numel())),
    }
    for part, (output, wanted) in expected.items():
        if tuple(output.shape) != wanted:
            raise PluginError(
                f"architecture '{name}': the {part} for images {shape} has shape "
                f"{tuple(output.shape)}, expected {wanted}"
            )
        if not torch.isfinite(output).all():
            raise PluginError(f"architecture '{name}': the {part} is not finite for {shape}")
    if generated.abs().max() > 1:
        raise PluginError(f"architecture '{name}': the generator leaves the range [-1, 1]")


def to_model_range(pixels: Tensor) -> Tensor:
    """Turn uint8 pixels 0..255 into float32 in [-1, 1]."""
    return pixels.to(torch.float32) / 127.5 - 1


def to_pixels(x: Tensor) -> Tensor:
    """Turn model-range images into uint8 pixels 0..255, rounded to the nearest."""
    return ((x.to(torch.float32) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
