"""Self-supervised pretext tasks of the discriminator.

Each task is a head on the discriminator's image features. The tasks keep D from forgetting the
structure of images when it can no longer detect generated ones (Chen et al. 2019, arXiv
1811.11212), and the confidence of the predictions indicates how normal an image is (Golan and
El-Yaniv 2018, arXiv 1805.10917).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.errors import UsageError
from bigan_cli.model.distortions import DISTORTIONS, FEATURE_DISTORTIONS, distort
from bigan_cli.model.global_batch import GlobalBatch
from bigan_cli.model.networks import Networks, apply_head
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.transformations import TRANSFORMATIONS, Transformation

DISTORTION = "distortion"
TASKS = (DISTORTION, *TRANSFORMATIONS)


def task_weights(config: TrainConfig) -> dict[str, float]:
    """Return the weight of each of :data:`TASKS` in D's loss; 0 leaves a task out."""
    return {
        DISTORTION: config.distortion_weight,
        "rotation": config.rotation_weight,
        "shift": config.shift_weight,
        "flip": config.flip_weight,
    }


def wanted_heads(config: TrainConfig, shape: ImageShape) -> dict[str, int]:
    """Return name -> outputs of the heads that *config* gives to D for images of *shape*."""
    outputs = {DISTORTION: 1, **{name: t.count(shape) for name, t in TRANSFORMATIONS.items()}}
    return {name: outputs[name] for name, weight in task_weights(config).items() if weight > 0}


def check_tasks(config: TrainConfig, *, on_feature_map: bool) -> None:
    """Check that D can learn its tasks: feature maps of single positions cannot be rotated.

    Raises:
        UsageError: A task, a distortion or an augmentation is of the other kind of networks.
    """
    weights, usable = task_weights(config), DISTORTIONS
    if on_feature_map:
        usable = FEATURE_DISTORTIONS
        asked = [f"'train.{name}_weight'" for name in TRANSFORMATIONS if weights[name] > 0]
        asked += ["'train.augmentations'"] if config.augmentations else []
        if asked:
            raise UsageError(
                f"{', '.join(asked)}: only for networks on pixels, and these are on features",
                "leave these settings out, or choose another 'model.architecture'",
            )
    wrong = [name for name in config.distortions if name not in usable]
    if wrong and weights[DISTORTION] > 0:
        raise UsageError(
            f"'train.distortions' {', '.join(wrong)}: not for networks on "
            f"{'features' if on_feature_map else 'pixels'}",
            f"these are: {', '.join(usable)}",
        )


def pretext_losses(
    networks: Networks, x: Tensor, config: TrainConfig, batch: GlobalBatch | None = None
) -> dict[str, Tensor]:
    """Return task -> loss, a scalar, in the order of :data:`TASKS`, for those with a head.

    All tasks share one pass of the discriminator. Uses torch's global generators.

    Args:
        networks: With the heads of :func:`wanted_heads`.
        x: Normal images ``[N, C, H, W]`` in [-1, 1].
        config: The distortions to use.
        batch: Which rows of *x* this process computes; by default all. What is done to an image
            depends on its place in the whole batch.
    """
    heads = networks.heads
    if not len(heads):
        return {}
    batch = batch or GlobalBatch(ProcessGroup(), len(x))
    own = batch.own(x)
    images = [own]
    if DISTORTION in heads:
        images.append(batch.own(distort(x, config.distortions)))
    plain_and_distorted = sum(map(len, images))
    groups = {
        name: _transformed(x, transformation, networks.image_shape, batch)
        for name, transformation in TRANSFORMATIONS.items()
        if name in heads
    }
    # The first group of each kind is not transformed, so it is part of the images.
    images += [group for kind in groups.values() for group in kind[1:]]
    features: Tensor = networks.discriminator.image_features(torch.cat(images))  # type: ignore[operator]
    losses = {}
    if DISTORTION in heads:
        logits = apply_head(heads[DISTORTION], features[:plain_and_distorted]).float().squeeze(1)
        losses[DISTORTION] = distortion_loss(*logits.chunk(2))
    start = plain_and_distorted
    for name, kind in groups.items():
        end = start + len(own) - len(kind[0])
        pair = torch.cat([features[: len(kind[0])], features[start:end]])
        losses[name] = cross_entropy(heads[name](pair).float(), _numbers(kind))
        start = end
    return losses


def _transformed(
    x: Tensor, transformation: Transformation, shape: ImageShape, batch: GlobalBatch
) -> list[Tensor]:
    """Return *x* in equal groups, the k-th of them transformed by number k.

    Of each group, these are the rows that are this process's own: of some there may be none. There
    are empty groups, too, if there are fewer images than transformations.
    """
    own, groups, start = batch.own_slice, [], 0
    for k, group in enumerate(x.tensor_split(transformation.count(shape))):
        end = start + len(group)
        part = x[max(start, own.start) : max(start, own.start, min(end, own.stop))]
        groups.append(transformation.apply(part, k) if len(part) else part)
        start = end
    return groups


def _numbers(groups: Sequence[Tensor]) -> Tensor:
    """Return the group number of each image, int64 ``[N]``."""
    numbers = [g.new_full((len(g),), k, dtype=torch.long) for k, g in enumerate(groups)]
    return torch.cat(numbers)


def distortion_loss(plain: Tensor, distorted: Tensor) -> Tensor:
    """Return the mean cross-entropy of classifying distorted copies; a scalar.

    Args:
        plain: Logits ``[N]`` of undistorted images; a positive logit means "distorted".
        distorted: Logits ``[N]`` of the copies.
    """
    return (softplus(plain).mean() + softplus(-distorted).mean()) / 2
