"""Transformations of images that the discriminator may be taught to tell from one another.

Training has its heads tell them, and scoring asks these heads about the same ones, so both take
them from here. They are those of Golan and El-Yaniv 2018 (arXiv 1805.10917, section 4), each
kind a task of its own: where one tells nothing, such as quarter turns of an 8, another may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bigan_cli.contracts import ImageShape

if TYPE_CHECKING:
    from torch import Tensor

# How far a shift goes along one side, in quarters of it.
_STEPS = (0, 1, -1)


@dataclass(frozen=True)
class Transformation:
    """One kind of transformation, whose members are told apart by number.

    Attributes:
        count: Shape of the images -> how many there are.
        apply: (images ``[N, C, H, W]``, number from 0) -> the transformed images, of the same
            shape; number 0 changes nothing.
    """

    count: Callable[[ImageShape], int]
    apply: Callable[[Tensor, int], Tensor]


def rotate(x: Tensor, number: int) -> Tensor:
    """Return images turned by *number* quarter turns, or half turns where H and W differ.

    An image that is not square fits its own frame only the right way up and upside down.
    """
    quarters = number if x.shape[2] == x.shape[3] else 2 * number
    return x.rot90(quarters, (2, 3)) if number else x


def shift(x: Tensor, number: int) -> Tensor:
    """Return images moved by a quarter of their height, of their width, of both or of neither.

    What moves in at an edge is the image's reflection in it, so that no seam gives it away.
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
    """Return images as they are (0) or mirrored left to right (1)."""
    return x.flip(3) if number else x


TRANSFORMATIONS: Mapping[str, Transformation] = {
    "rotation": Transformation(lambda shape: 4 if shape.height == shape.width else 2, rotate),
    "shift": Transformation(lambda _: len(_STEPS) ** 2, shift),
    "flip": Transformation(lambda _: 2, flip),
}
"""The kinds, by the name of the head that tells them."""
