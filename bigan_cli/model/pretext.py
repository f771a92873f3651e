"""The discriminator's other tasks: what it also has to tell of real images, without any label.

Each task is a head on the discriminator's view of the image. Learning them keeps D from
forgetting what images look like once it can no longer tell generated ones (Chen et al. 2019,
arXiv 1811.11212), and how sure it is of the answers tells how normal an image is (Golan and
El-Yaniv 2018, arXiv 1805.10917).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.distortions import distort
from bigan_cli.model.networks import Networks

DISTORTION = "distortion"
ROTATION = "rotation"
TASKS = (DISTORTION, ROTATION)


def wanted_heads(config: TrainConfig, shape: ImageShape) -> dict[str, int]:
    """Return name -> outputs of the heads that *config* gives to D for images of *shape*."""
    heads = {}
    if config.distortion_weight > 0:
        heads[DISTORTION] = 1
    if config.rotation_weight > 0:
        # An image that is not square fits its own frame the right way up and upside down.
        heads[ROTATION] = 4 if shape.height == shape.width else 2
    return heads


def pretext_losses(networks: Networks, x: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Return the losses of telling distorted images and of telling rotations, two scalars.

    Zero for a task without a head. Draws from torch's global generators.

    Args:
        networks: With the heads of :func:`wanted_heads`.
        x: Normal images ``[N, C, H, W]`` in [-1, 1].
        config: Which distortions there are.
    """
    heads = networks.heads
    nothing = x.new_zeros(())
    if not len(heads):
        return nothing, nothing
    images = [x]
    if DISTORTION in heads:
        images.append(distort(x, config.distortions))
    groups = x.tensor_split(heads[ROTATION].out_features) if ROTATION in heads else ()  # type: ignore[arg-type]
    # The first group stays as it is, and is part of x.
    images += [rotate(group, k, len(groups)) for k, group in enumerate(groups) if k and len(group)]
    features: Tensor = networks.discriminator.image_features(torch.cat(images))  # type: ignore[operator]
    distortion = rotation = nothing
    count = len(x)
    if DISTORTION in heads:
        logits = heads[DISTORTION](features[: 2 * count]).float().squeeze(1)
        distortion = distortion_loss(logits[:count], logits[count:])
    if ROTATION in heads:
        seen = torch.cat([features[: len(groups[0])], features[-(count - len(groups[0])) :]])
        labels = torch.cat(
            [x.new_full((len(g),), k, dtype=torch.long) for k, g in enumerate(groups)]
        )
        rotation = cross_entropy(heads[ROTATION](seen).float(), labels)
    return distortion, rotation


def rotate(x: Tensor, number: int, rotations: int) -> Tensor:
    """Return images ``[N, C, H, W]`` turned by *number* of *rotations* parts of a full turn.

    Args:
        x: The images.
        number: From 0.
        rotations: 4 (quarter turns) or 2 (half turns).
    """
    return x.rot90(number * (4 // rotations), (2, 3)) if number else x


def distortion_loss(plain: Tensor, distorted: Tensor) -> Tensor:
    """Return the mean cross-entropy of telling images from distorted copies; a scalar.

    Args:
        plain: Logits ``[N]`` of images as they are; a positive logit means "distorted".
        distorted: Logits ``[N]`` of the copies.
    """
    return (softplus(plain).mean() + softplus(-distorted).mean()) / 2
