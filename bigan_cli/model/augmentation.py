"""Differentiable augmentation of the images that the discriminator sees (DiffAugment).

With few images D memorises them, and E and G stop learning from it. Augmenting real and generated
images alike prevents that. Augmentations are differentiable, so gradients reach E and G, and G
does not learn to generate augmented images (Zhao et al. 2020, arXiv 2006.10738).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Augmentation = Callable[[Tensor], Tensor]

# Red, green and blue; a fourth channel is alpha.
_COLOURS = 3
# Largest translation and size of holes, as fractions of a side.
_FARTHEST = 1 / 8
_HOLE = 1 / 2


def augment(x: Tensor, names: Sequence[str]) -> Tensor:
    """Return the images with the named augmentations applied in order.

    Each image has its own random parameters, from the global generator of the device, which the
    run seeds. Never synchronises with the device.

    Args:
        x: Images ``[N, C, H, W]`` in [-1, 1].
        names: Keys of :data:`AUGMENTATIONS`; if empty, *x* is returned unchanged.

    Returns:
        Images ``[N, C, H, W]`` in [-1, 1], in the same order and of the same dtype.
    """
    for name in names:
        x = AUGMENTATIONS[name](x)
    return x


def change_colour(x: Tensor) -> Tensor:
    """Change brightness (by up to 0.5), saturation (0 to 2 times) and contrast (0.5 to 1.5 times).

    Saturation applies to colour images only; alpha is unchanged. Values are clamped to [-1, 1].
    """
    colours, alpha = x[:, :_COLOURS], x[:, _COLOURS:]
    colours = colours + _uniform(x) - 0.5
    if colours.shape[1] == _COLOURS:
        colours = _scale_deviation(colours, (1,), 2 * _uniform(x))
    colours = _scale_deviation(colours, (1, 2, 3), _uniform(x) + 0.5)
    return torch.cat([colours.clamp(-1, 1), alpha], dim=1)


def _uniform(x: Tensor) -> Tensor:
    """Return one uniform number in [0, 1) per image, ``[N, 1, 1, 1]``."""
    return torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)


def _scale_deviation(x: Tensor, dims: tuple[int, ...], factor: Tensor) -> Tensor:
    """Return *x* with its distance from its mean over *dims* multiplied by *factor*."""
    mean = x.mean(dim=dims, keepdim=True)
    return mean + (x - mean) * factor


def translate(x: Tensor) -> Tensor:
    """Translate each image by up to an eighth of its sides, in whole pixels.

    New pixels repeat the nearest edge. The paper fills with zeros, which are mid-grey here: on the
    black background of a digit that would be a bright bar.
    """
    channels, height, width = x.shape[1:]
    rows, columns = _moved(x, height), _moved(x, width)
    x = x.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return x.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def _moved(x: Tensor, side: int) -> Tensor:
    """Return the source index of each pixel along a side, int64 ``[N, side]``."""
    most = int(side * _FARTHEST + 0.5)
    by = torch.randint(-most, most + 1, (len(x), 1), device=x.device)
    return (torch.arange(side, device=x.device) + by).clamp(0, side - 1)


def cut_out(x: Tensor) -> Tensor:
    """Cut out a rectangle of half the height and width, anywhere, also partly outside.

    It is zero in every channel, mid-grey as in the paper, so it is visible on black too.
    """
    rows, columns = _hole(x, x.shape[2]), _hole(x, x.shape[3])
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


def _hole(x: Tensor, side: int) -> Tensor:
    """Return which pixels along a side are in the hole, bool; its centre is inside."""
    length = int(side * _HOLE + 0.5)
    least = -(length // 2)
    end = least + side + 1 - length % 2
    start = torch.randint(least, end, (len(x), 1), device=x.device)
    positions = torch.arange(side, device=x.device)
    return (positions >= start) & (positions < start + length)


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "colour": change_colour,
    "translation": translate,
    "cutout": cut_out,
}
"""The augmentations of :func:`augment`, by name."""
