"""The BiGAN objective: the losses of the discriminator and of encoder and generator.

The discriminator separates pairs (x, E(x)) and (G(z), z); encoder and generator are both trained
against it (Donahue et al. 2016, arXiv 1605.09782, eq. 2; Zenati et al. 2018, arXiv
1802.06222). All losses take logits.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu, softplus


def discriminator_loss(kind: str, real: Tensor, fake: Tensor, smoothing: float) -> Tensor:
    """Return the loss of D over logits of (x, E(x)) and of (G(z), z), each ``[N]``; a scalar.

    Args:
        kind: ``hinge`` (Lim & Ye 2017, arXiv 1705.02894) or ``logistic`` (as in the papers).
        real: Logits of the encoded real pairs.
        fake: Logits of the generated pairs.
        smoothing: One-sided label smoothing (Salimans et al. 2016, arXiv 1606.03498): the
            target of real pairs is ``1 - smoothing``. The hinge loss has no targets to smooth.
    """
    if kind == "hinge":
        return relu(1 - real).mean() + relu(1 + fake).mean()
    # softplus(l) - t*l is the cross-entropy of sigmoid(l) with target t.
    return (softplus(real) - (1 - smoothing) * real).mean() + softplus(fake).mean()


def encoder_generator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Return the adversarial loss of E and G: that of D with exchanged labels; a scalar."""
    if kind == "hinge":
        return real.mean() - fake.mean()
    return softplus(real).mean() + softplus(-fake).mean()


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """Return the generator's part of that loss, over logits ``[N]`` of (G(z), z); a scalar."""
    return -fake.mean() if kind == "hinge" else softplus(-fake).mean()


def image_cycle_loss(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the mean absolute difference of x and G(E(x)); a scalar in [0, 2]."""
    return (x - reconstruction).abs().mean()


def latent_cycle_loss(z: Tensor, encoded: Tensor) -> Tensor:
    """Return the mean squared difference of z and E(G(z)); a scalar."""
    return (z - encoded).square().mean()
