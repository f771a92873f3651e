"""Distorted copies of normal images, as synthetic anomalies.

A discriminator that separates images from distorted copies must learn the structure of normal
images: the course of lines, the order of parts. Other kinds of images then look distorted to it.
The copies are negative examples in the sense of Sinha et al. 2021 (negative data augmentation,
arXiv 2102.05113); Li et al. 2021 use cut and pasted ones for industrial inspection (CutPaste,
arXiv 2104.04015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the usual name

Distortion = Callable[[Tensor], Tensor]

# Standard deviation of the noise; that of the features is about 1.
_FEATURE_NOISE = 0.5


def distort(x: Tensor, names: Sequence[str]) -> Tensor:
    """Return one distorted copy of each image, with equal numbers of each kind.

    Uses the global generator of the device, which the run seeds. Never synchronises with the
    device and always launches the same operations, so a CUDA graph can record it.

    Args:
        x: Images ``[N, C, H, W]`` in [-1, 1], at least 2 x 2 pixels.
        names: One or more keys of :data:`DISTORTIONS` or of :data:`FEATURE_DISTORTIONS`.

    Returns:
        Images ``[N, C, H, W]`` in [-1, 1], in no particular order.
    """
    # Batches are in random order, so each image gets every kind over time.
    groups = zip(names, x.tensor_split(len(names)), strict=True)
    known = {**DISTORTIONS, **FEATURE_DISTORTIONS}
    return torch.cat([known[name](group) for name, group in groups if len(group)])


def warp(x: Tensor, cells: int, least: float, most: float) -> Tensor:
    """Warp every image by a smooth random displacement field (elastic deformation).

    Args:
        x: Images ``[N, C, H, W]``.
        cells: Grid points per side at which the field is sampled; more give finer waves.
        least: Smallest standard deviation of the field, in half images.
        most: Largest standard deviation; each image has its own between the two.
    """
    count, _, height, width = x.shape
    coarse = torch.randn(count, 2, cells, cells, device=x.device)
    strength = least + (most - least) * torch.rand(count, 1, 1, 1, device=x.device)
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True) * strength
    still = torch.eye(2, 3, device=x.device).expand(count, 2, 3)
    grid = F.affine_grid(still, list(x.shape), align_corners=False) + field.permute(0, 2, 3, 1)
    return _sampled(x, grid, pads=x.device.type != "mps")


def _sampled(x: Tensor, grid: Tensor, *, pads: bool) -> Tensor:
    """Return *x* sampled at *grid*; outside, the nearest edge is repeated.

    Args:
        x: Images ``[N, C, H, W]``.
        grid: Coordinates ``[N, H, W, 2]``; -1 and 1 are the edges of the image.
        pads: Whether the device supports border padding. Metal does not in PyTorch before 2.13
            (pytorch/pytorch#125098); there, coordinates are clamped to the centres of the
            outermost pixels, which is equivalent.
    """
    if pads:
        return F.grid_sample(x, grid, align_corners=False, padding_mode="border")
    within = 1 - 1 / torch.tensor([x.shape[3], x.shape[2]], device=x.device)
    return F.grid_sample(x, grid.clamp(-within, within), align_corners=False)


def shuffle_quarters(x: Tensor) -> Tensor:
    """Permute the four quarters of the images, all images alike."""
    rows, columns = _positions(x)
    height, width = x.shape[2] // 2, x.shape[3] // 2
    still = torch.arange(4, device=x.device)
    order = torch.randperm(4, device=x.device)
    order = torch.where(
        (order == still).all(), still ^ 1, order
    )  # any permutation but the identity
    # Number 2 is the lower left. Middle rows and columns of odd sizes are unchanged.
    quarter = 2 * (rows >= height) + (columns >= width)
    source = order[quarter]
    from_rows = rows % height + source // 2 * height
    from_columns = columns % width + source % 2 * width
    inside = (rows < 2 * height) & (columns < 2 * width)
    return _taken(
        x, torch.where(inside, from_rows, rows), torch.where(inside, from_columns, columns)
    )


def stitch(x: Tensor) -> Tensor:
    """Cut the images along one line, and replace one part by that of the next image.

    The cut is between a quarter and three quarters of the side. In half of the calls the pasted
    part keeps its position; in the other half it comes from the opposite side, which is wrong
    even if all images have the same parts at the same positions.
    """
    rows, columns = _positions(x)
    height, width = x.shape[2:]
    upright = _draw(x, 0, 2) == 1
    across = _draw(x, height // 4, 3 * height // 4 + 1).clamp(1, height - 1)
    down = (across * width // height).clamp(1, width - 1)
    own_place = _draw(x, 0, 2) == 1
    cut = torch.where(upright, down, across)
    foreign = torch.where(upright, columns, rows) >= cut
    # A single image is cut with itself.
    back = torch.where(own_place, 0, cut) if len(x) > 1 else cut
    from_rows = torch.where(upright, rows, rows - back) % height
    from_columns = torch.where(upright, columns - back, columns) % width
    return torch.where(foreign, _taken(x.roll(1, dims=0), from_rows, from_columns), x)


def turn(x: Tensor) -> Tensor:
    """Rotate the images by 90, 180 or 270 degrees; by 180 if they are not square."""
    if x.shape[2] != x.shape[3]:
        return x.rot90(2, (2, 3))
    turned = torch.stack([x.rot90(times, (2, 3)) for times in (1, 2, 3)])
    return turned.index_select(0, _draw(x, 0, 3).view(1)).squeeze(0)


def stretch(x: Tensor, least: float = 1.3, most: float = 2.0) -> Tensor:
    """Rescale the width or height of every image about its centre, by its own factor.

    Args:
        x: Images ``[N, C, H, W]``.
        least: Smallest factor, or its inverse.
        most: Largest factor, or its inverse.
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
    """Return a random integer in [*least*, *end*), a scalar on the device of *x*."""
    return torch.randint(least, end, (), device=x.device)


def _positions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and the column of every pixel, ``[H, 1]`` and ``[1, W]``."""
    height, width = x.shape[2:]
    rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
    return rows[:, None], columns[None, :]


def _taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the images with pixels taken from *rows* and *columns*.

    Args:
        x: Images ``[N, C, H, W]``.
        rows: Source row of each pixel; broadcast with *columns* to ``[H, W]``.
        columns: Source column, likewise.
    """
    positions = (rows * x.shape[3] + columns).flatten()
    return x.flatten(2).index_select(2, positions).view(x.shape)


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
"""The distortions of images, by name."""

FEATURE_DISTORTIONS: Mapping[str, Distortion] = {"feature_noise": add_feature_noise}
"""The distortions of standardised features, independent at every position."""
