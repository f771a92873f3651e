"""Cycle discriminators, which make the two cycles adversarial.

D_xx separates pairs (x, x) and (x, G(E(x))), and D_zz separates (z, z) and (z, E(G(z))); E and G
are trained against both (Zenati et al. 2018, "Adversarially Learned Anomaly Detection", arXiv
1812.02288). Both work with any architecture and are trained with D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.losses import discriminator_loss, generator_loss
from bigan_cli.model.profile import phase
from bigan_cli.spectral_norm import spectral_norm

IMAGE = "image"
LATENT = "latent"
# Name -> start and end of a cycle: (x, G(E(x))) or (z, E(G(z))), each ``[N, ...]``.
Cycles: TypeAlias = Mapping[str, tuple[Tensor, Tensor]]

# The feature maps of D_xx double with every halving of the image, up to this number ...
_FIRST_MAPS = 32
_MOST_MAPS = 128
# ... and halving stops before the smaller side is below this.
_SMALLEST_MAP = 2
_IMAGE_FEATURES = 128
# Widths of the layers of D_zz; the last one is that of its features.
_LATENT_WIDTHS = (64, 32)
_SLOPE = 0.2


class ImagePairDiscriminator(nn.Module):
    """D_xx: (x, x') -> (logits ``[N]``, features ``[N, 128]``); a positive logit means (x, x).

    Args:
        shape: Shape of both images.
    """

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        maps, height, width = 2 * shape.channels, shape.height, shape.width
        after = _FIRST_MAPS
        while min(height, width) // 2 >= _SMALLEST_MAP:
            layers += [nn.Conv2d(maps, after, 4, stride=2, padding=1), nn.LeakyReLU(_SLOPE)]
            maps, height, width = after, height // 2, width // 2
            after = min(2 * after, _MOST_MAPS)
        self.trunk = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(maps * height * width, _IMAGE_FEATURES),
            nn.LeakyReLU(_SLOPE),
        )
        self.head = nn.Linear(_IMAGE_FEATURES, 1)
        _initialise(self)

    def forward(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features of pairs of images ``[N, C, H, W]`` in [-1, 1]."""
        features: Tensor = self.trunk(torch.cat([x, other], dim=1))
        return self.head(features).squeeze(1), features


class LatentPairDiscriminator(nn.Module):
    """D_zz: (z, z') -> (logits ``[N]``, features ``[N, 32]``); a positive logit means (z, z).

    Args:
        latent_dim: Length of both vectors.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((2 * latent_dim, *_LATENT_WIDTHS)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(_SLOPE)]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(_LATENT_WIDTHS[-1], 1)
        _initialise(self)

    def forward(self, z: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and features of pairs of latent vectors ``[N, d]``."""
        features: Tensor = self.trunk(torch.cat([z, other], dim=1))
        return self.head(features).squeeze(1), features


def _initialise(network: nn.Module) -> None:
    """Initialise the weights, and normalise the largest singular value of each layer to 1.

    As in the paper: the pairs are easy to separate, and E and G learn nothing from a
    discriminator with ever steeper logits.
    """
    for module in list(network.modules()):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.orthogonal_(module.weight)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            spectral_norm(module)


def adversarial_weights(config: TrainConfig) -> dict[str, float]:
    """Return the weight that each cycle discriminator has in the loss of E and G."""
    return {
        IMAGE: config.adversarial_image_cycle_weight,
        LATENT: config.adversarial_latent_cycle_weight,
    }


def wanted_cycle_discriminators(config: TrainConfig) -> tuple[str, ...]:
    """Return the names of the cycle discriminators that *config* asks for."""
    return tuple(name for name, weight in adversarial_weights(config).items() if weight > 0)


def make_cycle_discriminators(
    names: Sequence[str], shape: ImageShape, latent_dim: int
) -> dict[str, nn.Module]:
    """Return newly initialised cycle discriminators by name, :data:`IMAGE` or :data:`LATENT`."""
    made: dict[str, nn.Module] = {}
    for name in names:
        made[name] = (
            ImagePairDiscriminator(shape) if name == IMAGE else LatentPairDiscriminator(latent_dim)
        )
    return made


def discriminator_losses(
    discriminators: nn.ModuleDict,
    cycles: Cycles,
    config: TrainConfig,
    perturb: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return the loss of each cycle discriminator by name; scalars.

    No gradient flows into E and G. The losses are not weighted: they share no parameters, and
    Adam does not depend on the scale of a loss.

    Args:
        discriminators: By name; only those with a cycle are used.
        cycles: The pairs to separate.
        config: The adversarial loss and its smoothing.
        perturb: Applied to all images. If it adds noise, the two images of a pair (x, x) differ
            too, so D_xx cannot use equality alone.
    """
    losses = {}
    for name, (start, end) in cycles.items():
        with phase("forward of the cycle discriminators"):
            first = torch.cat([start, start])
            second = torch.cat([start, end.detach().to(start.dtype)])
            same, cycled = _logits(discriminators, name, first, second, perturb).chunk(2)
            losses[name] = discriminator_loss(config.loss, same, cycled, config.label_smoothing)
    return losses


def adversarial_losses(
    discriminators: nn.ModuleDict,
    cycles: Cycles,
    config: TrainConfig,
    perturb: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """Return the losses of E and G against the frozen discriminators by name; scalars.

    Pairs (x, x) and (z, z) do not depend on E and G and are left out.
    """
    losses = {}
    for name, (start, end) in cycles.items():
        with phase("forward of the frozen cycle discriminators"):
            logits = _logits(discriminators, name, start, end.to(start.dtype), perturb)
            losses[name] = generator_loss(config.loss, logits)
    return losses


def _logits(
    discriminators: nn.ModuleDict,
    name: str,
    first: Tensor,
    second: Tensor,
    perturb: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the logits of one discriminator for pairs, float32 ``[N]``."""
    if name == IMAGE:
        first, second = perturb(first), perturb(second)
    logits, _ = discriminators[name](first, second)
    result: Tensor = logits.float()
    return result
