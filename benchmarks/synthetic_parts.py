"""Write a folder of synthetic photographs of parts, some with defects and their masks.

    python benchmarks/synthetic_parts.py build/plates --part plate --seed 0
    bigan benchmark --dataset folder --data-root build/plates --device cpu

The layout is that of MVTec AD: ``train/good``, ``test/good``, ``test/KIND`` and
``ground_truth/KIND``. Parts are photographed as on a bench: shifted and turned a little, lit
unevenly, with the sensor's noise.

- ``plate``: brushed metal with four holes, always in nearly the same place.
- ``casting``: a cast disc in any rotation.
- ``fabric``: a weave, which fills the image and is never aligned.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.special import expit

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Drawn = tuple[Floats, Mask]

SIZE = (480, 640)  # height, width
# Images drawn larger than needed, so that a turned part has no empty corners.
_MARGIN = 48


@dataclass(frozen=True)
class Canvas:
    """The coordinates of an image with its margin, in pixels from its centre."""

    rng: np.random.Generator

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return SIZE[0] + 2 * _MARGIN, SIZE[1] + 2 * _MARGIN

    def grid(self) -> tuple[Floats, Floats]:
        """Return (y, x), each ``[H, W]``."""
        height, width = self.shape
        y, x = np.mgrid[:height, :width].astype(np.float64)
        return y - height / 2, x - width / 2

    def noise(self, *scales: float) -> Floats:
        """Return smooth noise of mean 0 and standard deviation 1, ``[H, W]``."""
        raw = gaussian_filter(self.rng.normal(size=self.shape), scales)
        smooth: Floats = raw / raw.std()
        return smooth


def plate(canvas: Canvas, defect: str | None) -> Drawn:
    """Draw brushed metal with four holes; a ``missing_hole`` is one of them left out."""
    rng = canvas.rng
    y, x = canvas.grid()
    image = 150 + 9 * canvas.noise(0.6, 30) + 4 * canvas.noise(60, 60)
    mask = np.zeros(canvas.shape, bool)
    missing = rng.integers(4) if defect == "missing_hole" else -1
    for number, (row, column) in enumerate(((-150, -220), (-150, 220), (150, -220), (150, 220))):
        inside = np.hypot(y - row, x - column) - 26
        if number == missing:
            mask |= inside < 0
        else:
            image = np.where(inside < 5, 190, image)  # a bright rim
            image = image * expit(inside) + 35 * expit(-inside)
    return image, mask


def casting(canvas: Canvas, defect: str | None) -> Drawn:
    """Draw a cast disc on a dark bench; a ``pore`` is a small dark pit in its surface."""
    rng = canvas.rng
    y, x = canvas.grid()
    radius, angle = np.hypot(y, x), np.arctan2(y, x) + rng.uniform(0, 2 * np.pi)
    image = 128 + 10 * canvas.noise(2, 2) + 5 * canvas.noise(12, 12)
    image += 25 * expit((np.cos(6 * angle) - 0.4) * 12) * (radius > 110)  # ribs
    image = np.where(np.abs(radius - 110) < 6, 175, image)
    hub = expit((radius - 40) / 1.5)
    image = image * hub + 45 * (1 - hub)
    disc = expit((215 - radius) / 1.5)
    image = image * disc + (40 + 4 * canvas.noise(3, 3)) * (1 - disc)
    mask = np.zeros(canvas.shape, bool)
    if defect == "pore":
        away, towards = rng.uniform(60, 195), rng.uniform(0, 2 * np.pi)
        distance = np.hypot(y - away * np.sin(towards), x - away * np.cos(towards))
        size = rng.uniform(4, 9)
        image -= rng.uniform(40, 70) * expit((size - distance) * 1.2)
        mask = distance < size
    return image, mask


def fabric(canvas: Canvas, defect: str | None) -> Drawn:
    """Draw a weave; a ``pulled_thread`` is a local warp of it."""
    rng = canvas.rng
    y, x = canvas.grid()
    mask = np.zeros(canvas.shape, bool)
    y, x = y + 2.5 * canvas.noise(40, 40), x + 2.5 * canvas.noise(40, 40)
    if defect == "pulled_thread":
        row, column = rng.uniform(-190, 190), rng.uniform(-270, 270)
        spread = rng.uniform(15, 30)
        bump = np.exp(-(((y - row) / (spread / 2)) ** 2) - ((x - column) / (2 * spread)) ** 2)
        y = y + rng.uniform(8, 14) * bump
        mask = bump > 0.3
    phase = rng.uniform(0, 2 * np.pi, 2)
    warp, weft = np.sin(2 * np.pi * x / 11 + phase[0]), np.sin(2 * np.pi * y / 9 + phase[1])
    over = np.sin(np.pi * x / 11 + phase[0] / 2) * np.sin(np.pi * y / 9 + phase[1] / 2) > 0
    image = 120 + np.where(over, 26 * np.abs(warp), 26 * np.abs(weft)) + 5 * canvas.noise(1, 1)
    return image, mask


def scratch(image: Floats, canvas: Canvas) -> Drawn:
    """Scratch it: a thin, slightly bent line, brighter or darker."""
    along, across = _somewhere(canvas)
    length, width = canvas.rng.uniform(40, 120), canvas.rng.uniform(1, 2.5)
    bent = across + canvas.rng.normal(0, 0.002) * along**2
    line = expit((width - np.abs(bent)) * 2) * (np.abs(along) < length / 2)
    return image + canvas.rng.choice([-1, 1]) * canvas.rng.uniform(25, 60) * line, line > 0.4


def stain(image: Floats, canvas: Canvas) -> Drawn:
    """Stain it: a soft blob of another brightness."""
    along, across = _somewhere(canvas)
    size = canvas.rng.uniform(15, 45)
    blob = expit((size - np.hypot(along, 1.5 * across) + 4 * canvas.noise(10, 10)) / 3)
    return image + canvas.rng.choice([-1, 1]) * canvas.rng.uniform(12, 30) * blob, blob > 0.5


def _somewhere(canvas: Canvas) -> tuple[Floats, Floats]:
    """Return coordinates along and across a random direction through a point of the part."""
    y, x = canvas.grid()
    y, x = y - canvas.rng.uniform(-150, 150), x - canvas.rng.uniform(-160, 160)
    angle = canvas.rng.uniform(0, np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


Part = Callable[[Canvas, str | None], Drawn]
SURFACE: dict[str, Callable[[Floats, Canvas], Drawn]] = {"scratch": scratch, "stain": stain}
# A part, and the defect that only it can have.
PARTS: dict[str, tuple[Part, str]] = {
    "plate": (plate, "missing_hole"),
    "casting": (casting, "pore"),
    "fabric": (fabric, "pulled_thread"),
}


def photograph(part: str, defect: str | None, rng: np.random.Generator) -> tuple[Image.Image, Mask]:
    """Return one photograph, and the mask ``[480, 640]`` of its defect."""
    canvas = Canvas(rng)
    image, mask = PARTS[part][0](canvas, defect)
    if defect in SURFACE:
        image, mask = SURFACE[defect](image, canvas)
    y, x = canvas.grid()
    image = image + 10 * rng.normal() + (y * rng.normal() + x * rng.normal()) * 0.03
    # Turned by a degree or so, and shifted by a few pixels.
    angle, shift = np.deg2rad(rng.normal(0, 1)), rng.normal(0, 4, 2)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    rows, columns = rows - SIZE[0] / 2, columns - SIZE[1] / 2
    at = [
        np.cos(angle) * rows - np.sin(angle) * columns + shift[0] + canvas.shape[0] / 2,
        np.sin(angle) * rows + np.cos(angle) * columns + shift[1] + canvas.shape[1] / 2,
    ]
    image = map_coordinates(image, at, order=1, mode="reflect") + rng.normal(0, 2.5, SIZE)
    colours = image[..., None] * (1.0, 0.99, 0.96)
    masked = map_coordinates(mask.astype(np.float64), at, order=1, mode="constant") > 0.5
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8)), masked


def write(folder: Path, part: str, *, seed: int, train: int, good: int, defective: int) -> None:
    """Write the folder; the same arguments write the same pixels.

    Args:
        folder: Made; must not exist.
        part: A key of :data:`PARTS`.
        seed: Decides everything drawn.
        train: Images in ``train/good``.
        good: Images in ``test/good``.
        defective: Images with a defect, divided among its kinds.
    """
    rng = np.random.default_rng(seed)
    for name, count in (("train/good", train), ("test/good", good)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            photograph(part, None, rng)[0].save(folder / name / f"{i:03d}.png")
    kinds = (*SURFACE, PARTS[part][1])
    for number, kind in enumerate(kinds):
        images, masks = folder / "test" / kind, folder / "ground_truth" / kind
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for i in range(len(range(number, defective, len(kinds)))):
            image, mask = photograph(part, kind, rng)
            image.save(images / f"{i:03d}.png")
            Image.fromarray(mask).save(masks / f"{i:03d}_mask.png")


def main() -> None:
    """Write the folder that the command line describes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=PARTS, default="plate", help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    parser.add_argument("--train", type=int, default=150, help="[%(default)s]")
    parser.add_argument("--good", type=int, default=80, help="good ones to test [%(default)s]")
    parser.add_argument("--defective", type=int, default=80, help="[%(default)s]")
    chosen = parser.parse_args()
    counts = {"train": chosen.train, "good": chosen.good, "defective": chosen.defective}
    try:
        write(chosen.folder, chosen.part, seed=chosen.seed, **counts)
    except FileExistsError:
        parser.error(f"{chosen.folder} has images already; name another folder")


if __name__ == "__main__":
    main()
