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


def distort(x: Tensor, names: Sequence[str]) -> Tensor:
    """Return one distorted copy of each image, the kinds in equal shares.

    Draws from torch's global generators (that of the CPU for what a whole group shares), so the
    run's seed decides them; never waits for the device.

    Args:
        x: Images ``[N, C, H, W]`` in [-1, 1], at least 2 x 2 pixels.
        names: Which of :data:`DISTORTIONS` to use, one at least.

    Returns:
        Images ``[N, C, H, W]`` in [-1, 1], in no particular order.
    """
    # Which images get which kind changes from call to call, since batches are in random order.
    groups = zip(names, x.tensor_split(len(names)), strict=True)
    return torch.cat([DISTORTIONS[name](group) for name, group in groups if len(group)])


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
    height, width = x.shape[2] // 2, x.shape[3] // 2
    corners = [(top, left) for top in (0, height) for left in (0, width)]
    order = torch.randperm(4).numpy().tolist()
    if order == [0, 1, 2, 3]:  # any other will do
        order = [1, 0, 3, 2]
    shuffled = x.clone()
    for (top, left), source in zip(corners, order, strict=True):
        from_top, from_left = corners[source]
        shuffled[..., top : top + height, left : left + width] = x[
            ..., from_top : from_top + height, from_left : from_left + width
        ]
    return shuffled


def stitch(x: Tensor) -> Tensor:
    """Cut the images along one line, and give each the other part of its neighbour.

    The cut lies between a quarter and three quarters of the side. In half of the calls the
    foreign part comes from its own place, in the other half from the opposite side, which is
    wrong even where all images have the same parts in the same places.
    """
    dim = 2 + _draw(0, 2)
    side = x.shape[dim]
    cut = _draw(side // 4, 3 * side // 4 + 1)
    cut = min(max(cut, 1), side - 1)
    neighbour = x.roll(1, dims=0)
    own_place = _draw(0, 2) and len(x) > 1  # a single image is its own neighbour
    start = cut if own_place else 0
    return torch.cat([x.narrow(dim, 0, cut), neighbour.narrow(dim, start, side - cut)], dim=dim)


def turn(x: Tensor) -> Tensor:
    """Turn the images by 90, 180 or 270 degrees; those that are not square by 180."""
    if x.shape[2] != x.shape[3]:
        return x.rot90(2, (2, 3))
    return x.rot90(1 + _draw(0, 3), (2, 3))


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


def _draw(least: int, end: int) -> int:
    """Return a whole number from *least* to below *end*, drawn on the host."""
    return int(torch.randint(least, end, ()).numpy())


def _warp_widely(x: Tensor) -> Tensor:
    return warp(x, cells=4, least=0.15, most=0.5)


def _warp_finely(x: Tensor) -> Tensor:
    return warp(x, cells=5, least=0.05, most=0.3)


DISTORTIONS: Mapping[str, Distortion] = {
    "wide_warp": _warp_widely,
    "fine_warp": _warp_finely,
    "shuffle": shuffle_quarters,
    "stitch": stitch,
    "turn": turn,
    "stretch": stretch,
}
"""What :func:`distort` does to images, by name."""
