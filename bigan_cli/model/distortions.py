"""Distorted copies of normal images: anomalies that need no anomalous image.

A discriminator that can tell images from distorted copies of themselves must have learned what
holds normal ones together: the course of their lines, the order of their parts. Images of
another kind then look distorted to it. The copies are negative examples in the sense of Sinha
et al. 2021 (negative data augmentation, arXiv 2102.05113); cut and pasted ones serve industrial
inspection in Li et al. 2021 (CutPaste, arXiv 2104.04015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  what everybody calls it

Distortion = Callable[[Tensor], Tensor]

# Standard deviation of the noise, where the features have one of about 1.
_FEATURE_NOISE = 0.5


def distort(x: Tensor, names: Sequence[str]) -> Tensor:
    """Return one distorted copy of each image, the kinds in equal shares.

    Draws from the global generator of the device, so the run's seed decides them; never waits
    for the device, and always asks it for the same operations, so that a CUDA graph can hold
    them.

    Args:
        x: Images ``[N, C, H, W]`` in [-1, 1], at least 2 x 2 pixels.
        names: Which of :data:`DISTORTIONS`, or of :data:`FEATURE_DISTORTIONS`, to use; one at
            least.

    Returns:
        Images ``[N, C, H, W]`` in [-1, 1], in no particular order.
    """
    # Which images get which kind changes from call to call, since batches are in random order.
    groups = zip(names, x.tensor_split(len(names)), strict=True)
    known = {**DISTORTIONS, **FEATURE_DISTORTIONS}
    return torch.cat([known[name](group) for name, group in groups if len(group)])


def warp(x: Tensor, cells: int, least: float, most: float) -> Tensor:
    """Pull every image about along a smooth random field.

    Args:
        x: Images ``[N, C, H, W]``.
        cells: Points a side of the grid on which the field is drawn; more make finer waves.
        least: Standard deviation of the field where it is weakest, in half images.
        most: The same where it is strongest; each image has its own between the two.
    """
    count, _, height, width = x.shape
    coarse = torch.randn(count, 2, cells, cells, device=x.device)
    strength = least + (most - least) * torch.rand(count, 1, 1, 1, device=x.device)
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True) * strength
    still = torch.eye(2, 3, device=x.device).expand(count, 2, 3)
    grid = F.affine_grid(still, list(x.shape), align_corners=False) + field.permute(0, 2, 3, 1)
    return _sampled(x, grid, pads=x.device.type != "mps")


def _sampled(x: Tensor, grid: Tensor, *, pads: bool) -> Tensor:
    """Return *x* at the places *grid*; what lies outside has the colour of the nearest edge.

    Args:
        x: Images ``[N, C, H, W]``.
        grid: Places ``[N, H, W, 2]``, -1 and 1 being the images' edges.
        pads: Whether the device can do that by itself. Metal refuses to in PyTorch before 2.13
            (pytorch/pytorch#125098), so there no place is let further out than the centre of
            the outermost pixel, which is the same.
    """
    if pads:
        return F.grid_sample(x, grid, align_corners=False, padding_mode="border")
    within = 1 - 1 / torch.tensor([x.shape[3], x.shape[2]], device=x.device)
    return F.grid_sample(x, grid.clamp(-within, within), align_corners=False)


def shuffle_quarters(x: Tensor) -> Tensor:
    """Put the four quarters of the images into another order, the same for all of them."""
    rows, columns = _places(x)
    height, width = x.shape[2] // 2, x.shape[3] // 2
    still = torch.arange(4, device=x.device)
    order = torch.randperm(4, device=x.device)
    order = torch.where((order == still).all(), still ^ 1, order)  # any other will do
    # Number 2 is the lower left. Odd rows and columns belong to no quarter and stay.
    quarter = 2 * (rows >= height) + (columns >= width)
    source = order[quarter]
    from_rows = rows % height + source // 2 * height
    from_columns = columns % width + source % 2 * width
    inside = (rows < 2 * height) & (columns < 2 * width)
    return _taken(
        x, torch.where(inside, from_rows, rows), torch.where(inside, from_columns, columns)
    )


def stitch(x: Tensor) -> Tensor:
    """Cut the images along one line, and give each the other part of its neighbour.

    The cut lies between a quarter and three quarters of the side. In half of the calls the
    foreign part comes from its own place, in the other half from the opposite side, which is
    wrong even where all images have the same parts in the same places.
    """
    rows, columns = _places(x)
    height, width = x.shape[2:]
    upright = _draw(x, 0, 2) == 1
    across = _draw(x, height // 4, 3 * height // 4 + 1).clamp(1, height - 1)
    down = (across * width // height).clamp(1, width - 1)
    own_place = _draw(x, 0, 2) == 1
    cut = torch.where(upright, down, across)
    foreign = torch.where(upright, columns, rows) >= cut
    # A single image is its own neighbour.
    back = torch.where(own_place, 0, cut) if len(x) > 1 else cut
    from_rows = torch.where(upright, rows, rows - back) % height
    from_columns = torch.where(upright, columns - back, columns) % width
    return torch.where(foreign, _taken(x.roll(1, dims=0), from_rows, from_columns), x)


def turn(x: Tensor) -> Tensor:
    """Turn the images by 90, 180 or 270 degrees; those that are not square by 180."""
    if x.shape[2] != x.shape[3]:
        return x.rot90(2, (2, 3))
    turned = torch.stack([x.rot90(times, (2, 3)) for times in (1, 2, 3)])
    return turned.index_select(0, _draw(x, 0, 3).view(1)).squeeze(0)


def stretch(x: Tensor, least: float = 1.3, most: float = 2.0) -> Tensor:
    """Widen, flatten, narrow or heighten every image about its middle, by its own factor.

    Args:
        x: Images ``[N, C, H, W]``.
        least: Smallest factor, or one over it.
        most: Greatest factor, or one over it.
    """
    count = len(x)
    between = torch.rand(count, device=x.device)
    power = math.log(least) + (math.log(most) - math.log(least)) * between
    larger, upright = torch.rand(2, count, device=x.device) < 0.5
    factor = torch.where(larger, -power, power).exp()
    theta = x.new_zeros(count, 2, 3)
    theta[:, 0, 0] = torch.where(upright, torch.ones_like(factor), factor)
    theta[:, 1, 1] = torch.where(upright, factor, torch.ones_like(factor))
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return _sampled(x, grid, pads=x.device.type != "mps")


def _draw(x: Tensor, least: int, end: int) -> Tensor:
    """Return a whole number from *least* to below *end*, a scalar drawn where *x* is."""
    return torch.randint(least, end, (), device=x.device)


def _places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and the column of every pixel, ``[H, 1]`` and ``[1, W]``."""
    height, width = x.shape[2:]
    rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
    return rows[:, None], columns[None, :]


def _taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the images with the pixel at each place taken from *rows* and *columns*.

    Args:
        x: Images ``[N, C, H, W]``.
        rows: Where each pixel comes from; with *columns* it broadcasts to ``[H, W]``.
        columns: The same.
    """
    places = (rows * x.shape[3] + columns).flatten()
    return x.flatten(2).index_select(2, places).view(x.shape)


def _warp_widely(x: Tensor) -> Tensor:
    return warp(x, cells=4, least=0.15, most=0.5)


def _warp_finely(x: Tensor) -> Tensor:
    return warp(x, cells=5, least=0.05, most=0.3)


def add_feature_noise(x: Tensor) -> Tensor:
    """Add Gaussian noise to standardised features, as SimpleNet does (arXiv 2303.15140)."""
    return x + _FEATURE_NOISE * torch.randn_like(x)


DISTORTIONS: Mapping[str, Distortion] = {
    "elastic_coarse": _warp_widely,
    "elastic_fine": _warp_finely,
    "shuffle": shuffle_quarters,
    "cutmix": stitch,
    "rotate": turn,
    "rescale": stretch,
}
"""What :func:`distort` does to images, by name."""

FEATURE_DISTORTIONS: Mapping[str, Distortion] = {"feature_noise": add_feature_noise}
"""What it does to standardised features, at every place for itself."""
