"""Transformations of images that heads of the discriminator learn to predict.

Training and scoring both use them. They are those of Golan and El-Yaniv 2018 (arXiv 1805.10917,
section 4), each kind as a separate task: if one is not informative, such as half turns of an 8,
another may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bigan_cli.contracts import ImageShape

if TYPE_CHECKING:
    from torch import Tensor

# Shifts along a side, in quarters of it.
_STEPS = (0, 1, -1)


@dataclass(frozen=True)
class Transformation:
    """One kind of transformation, with numbered members.

    Attributes:
        count: Image shape -> number of transformations.
        apply: (images ``[N, C, H, W]``, number from 0) -> the transformed images, of the same
            shape; number 0 is the identity.
    """

    count: Callable[[ImageShape], int]
    apply: Callable[[Tensor, int], Tensor]


def rotate(x: Tensor, number: int) -> Tensor:
    """Return images rotated by *number* quarter turns, or half turns if H and W differ.

    Quarter turns would exchange the sides of an image that is not square.
    """
    quarters = number if x.shape[2] == x.shape[3] else 2 * number
    return x.rot90(quarters, (2, 3)) if number else x


def shift(x: Tensor, number: int) -> Tensor:
    """Return images shifted by a quarter of their height, of their width, of both or of neither.

    New pixels are reflections of the image, so that no seam reveals the shift.
    """
    from torch.nn.functional import pad

    if not number:
        return x
    height, width = x.shape[2:]
    down, right = (_STEPS[place] for place in divmod(number, len(_STEPS)))
    high, wide = height // 4, width // 4
    padded = pad(x, (wide, wide, high, high), mode="reflect")
    return padded.narrow(2, high * (1 - down), height).narrow(3, wide * (1 - right), width)


def flip(x: Tensor, number: int) -> Tensor:
    """Return images unchanged (0) or mirrored left to right (1)."""
    return x.flip(3) if number else x


TRANSFORMATIONS: Mapping[str, Transformation] = {
    "rotation": Transformation(lambda shape: 4 if shape.height == shape.width else 2, rotate),
    "shift": Transformation(lambda _: len(_STEPS) ** 2, shift),
    "flip": Transformation(lambda _: 2, flip),
}
"""The kinds of transformation, by the name of their head."""
