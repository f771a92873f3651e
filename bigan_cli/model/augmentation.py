"""Random changes to every image that the discriminator sees in the adversarial game.

With few images D learns them by heart and E and G learn no more from it. Changing real and
generated images alike keeps it from that; since every change is differentiable, the gradient
reaches E and G through it, and G does not learn to make changed images (DiffAugment; Zhao et al.
2020, arXiv 2006.10738).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Augmentation = Callable[[Tensor], Tensor]

# Red, green and blue: a fourth channel is alpha, which has no colour.
_COLOURS = 3
# Of a side: how far images are moved at the most, and how long holes are.
_FARTHEST = 1 / 8
_HOLE = 1 / 2


def augment(x: Tensor, names: Sequence[str]) -> Tensor:
    """Return the images changed in every way that is named, in that order.

    Each image has draws of its own, from the global generator of its device, so the run's seed
    decides them; never waits for the device.

    Args:
        x: Images ``[N, C, H, W]`` in [-1, 1].
        names: Which of :data:`AUGMENTATIONS` to use; of none, *x* is returned as it is.

    Returns:
        Images ``[N, C, H, W]`` in [-1, 1], in the same order and of the same type.
    """
    for name in names:
        x = AUGMENTATIONS[name](x)
    return x


def change_colour(x: Tensor) -> Tensor:
    """Change brightness (by up to 0.5), saturation (0 to 2 times) and contrast (0.5 to 1.5 times).

    A grey image has no saturation, and alpha stays as it is. What leaves [-1, 1] is cut off.
    """
    colours, alpha = x[:, :_COLOURS], x[:, _COLOURS:]
    colours = colours + _uniform(x) - 0.5
    if colours.shape[1] == _COLOURS:
        colours = _spread(colours, (1,), 2 * _uniform(x))
    colours = _spread(colours, (1, 2, 3), _uniform(x) + 0.5)
    return torch.cat([colours.clamp(-1, 1), alpha], dim=1)


def _uniform(x: Tensor) -> Tensor:
    """Return one number from [0, 1) for each image, ``[N, 1, 1, 1]``."""
    return torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype)


def _spread(x: Tensor, dims: tuple[int, ...], factor: Tensor) -> Tensor:
    """Return *x* with its distance from its mean over *dims* multiplied by *factor*."""
    mean = x.mean(dim=dims, keepdim=True)
    return mean + (x - mean) * factor


def translate(x: Tensor) -> Tensor:
    """Move each image by up to an eighth of its sides, in whole pixels.

    What moves in has the colour of the nearest edge. The paper fills it with zeros, which are
    mid-grey here: on the black ground of a digit that would be a bright bar.
    """
    channels, height, width = x.shape[1:]
    rows, columns = _moved(x, height), _moved(x, width)
    x = x.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return x.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def _moved(x: Tensor, side: int) -> Tensor:
    """Return which place each place of a side takes its pixels from, int64 ``[N, side]``."""
    most = int(side * _FARTHEST + 0.5)
    by = torch.randint(-most, most + 1, (len(x), 1), device=x.device)
    return (torch.arange(side, device=x.device) + by).clamp(0, side - 1)


def cut_out(x: Tensor) -> Tensor:
    """Make a hole half as high and half as wide as the image, anywhere, partly outside too.

    It is zero in every channel, mid-grey as in the paper: it is to be seen on black ground too.
    """
    rows, columns = _hole(x, x.shape[2]), _hole(x, x.shape[3])
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


def _hole(x: Tensor, side: int) -> Tensor:
    """Return which places of a side the hole takes, bool ``[N, side]``; its centre is inside."""
    length = int(side * _HOLE + 0.5)
    least = -(length // 2)
    end = least + side + 1 - length % 2
    start = torch.randint(least, end, (len(x), 1), device=x.device)
    places = torch.arange(side, device=x.device)
    return (places >= start) & (places < start + length)


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "colour": change_colour,
    "translation": translate,
    "cutout": cut_out,
}
"""What :func:`augment` does to images, by name."""
