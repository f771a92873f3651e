"""Conversion of decoded pixels of any depth to uint8 of a shape, in bands of rows.

With bands a large image needs little more memory than its decoded pixels: intermediate results
never exist for the whole image. The result is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data.padding import Placement, pad, placement
from bigan_cli.data.unreadable import UnreadableImage

if TYPE_CHECKING:
    from bigan_cli.data.colour_profile import Convert

Box: TypeAlias = tuple[int, int, int, int]
Pixels: TypeAlias = NDArray[np.uint8]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
# Pixels per band. An image of fewer than two bands is converted at once.
_BAND = 2**22
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded pixels, in the format of their file.

    Attributes:
        size: (width, height) as stored.
        eight_bit: Returns a box of the pixels, or all for None, in any mode of 8 bits a sample.
        orientation: EXIF orientation, 1 to 8.
        to_srgb: Converts from the embedded colour profile, if there is one.
        samples: The source of *eight_bit*, if samples have more than 8 bits.
        profile_is_damaged: Whether there is a colour profile that cannot be used.
    """

    size: tuple[int, int]
    eight_bit: Callable[[Box | None], Image.Image]
    orientation: int = 1
    to_srgb: Convert | None = None
    samples: DeepSamples | None = None
    profile_is_damaged: bool = False

    def remarks(self) -> tuple[str, ...]:
        """Return notes for the user on how the pixels were interpreted, after reading them."""
        said = []
        if self.to_srgb is not None:
            said.append("converted from an embedded colour profile to sRGB")
        if self.profile_is_damaged:
            said.append("with a damaged colour profile, read as sRGB")
        if self.samples is not None and self.samples.looks_like_12_bits():
            said.append(
                "nearly black 16-bit images (no value above 4095: for samples of 12 bits, train "
                "with data.sample_bits = 12)"
            )
        return tuple(said)

    def pixels(self, shape: ImageShape, *, keep_aspect: bool = False) -> Pixels:
        """Return the pixels upright, as uint8 ``[C, H, W]`` of *shape*.

        Args:
            shape: The shape wanted.
            keep_aspect: Whether to pad an image of another aspect ratio instead of stretching it.
        """
        width, height = self.size if self.orientation < 5 else self.size[::-1]
        frame = (shape.width, shape.height)
        place = placement((width, height), frame) if keep_aspect else Placement(0, 0, *frame)
        if width * height < 2 * _BAND:
            image = self._upright(None, shape.channels)
            if image.size != (place.width, place.height):
                image = _resized(image, place.width, place.height)
        else:
            target = ImageShape(shape.channels, place.height, place.width)
            image = self._by_bands(width, height, target)
        array = np.asarray(pad(image, place, frame))
        out = array[None].copy() if array.ndim == 2 else array.transpose(2, 0, 1).copy()
        return hide_invisible(out)

    def _upright(self, box: Box | None, channels: int) -> Image.Image:
        image = _with_channels(self.eight_bit(box), channels, self.to_srgb)
        turn = _TURNS.get(self.orientation)
        return image if turn is None else image.transpose(turn)

    def _by_bands(self, width: int, height: int, shape: ImageShape) -> Image.Image:
        """Resize each band in width, then all of them together in height, as Pillow does."""
        # Pillow resizes transparent images with their colours multiplied by alpha.
        mode = "RGBa" if shape.channels == 4 else MODES[shape.channels]
        narrow = Image.new(mode, (shape.width, height))
        rows = max(1, _BAND // width)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            band = self._upright(self._stored_box(top, bottom), shape.channels)
            if mode == "RGBa":
                band = band.convert(mode)
            narrow.paste(_resized(band, shape.width, bottom - top), (0, top))
        return _resized(narrow, shape.width, shape.height).convert(MODES[shape.channels])

    def _stored_box(self, top: int, bottom: int) -> Box:
        """Return the stored box of the upright rows *top* to *bottom*."""
        width, height = self.size
        if self.orientation in (1, 2):
            return (0, top, width, bottom)
        if self.orientation in (3, 4):
            return (0, height - bottom, width, height - top)
        if self.orientation in (5, 6):
            return (top, 0, bottom, height)
        return (width - bottom, 0, width - top, height)


def turned(marked: NDArray[np.bool_], orientation: int) -> NDArray[np.bool_]:
    """Return bool ``[H, W]``, stored with an EXIF orientation, upright."""
    turn = _TURNS.get(orientation)
    if turn is None:
        return marked
    return np.asarray(Image.fromarray(marked.astype(np.uint8)).transpose(turn)).astype(np.bool_)


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _with_channels(image: Image.Image, channels: int, to_srgb: Convert | None) -> Image.Image:
    """Return *image* in mode L, RGB or RGBA, transparent parts over white unless in RGBA."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB") and not (image.mode == "CMYK" and to_srgb):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if to_srgb is not None:
        image = to_srgb(image)
    if image.mode == "RGBA" and channels != 4:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    wanted = MODES[channels]
    return image if image.mode == wanted else image.convert(wanted)


@dataclass(slots=True)
class DeepSamples:
    """Samples of more than 8 bits, scaled by *white* when a box of them is read.

    Attributes:
        read: Returns a box of the values, or all for None: ``[H, W]`` or ``[H, W, C]``.
        white: The value that means white (the full intensity), 65535 for 16 bits.
        inverted: Whether 0 means white instead.
        transparent: The value of fully transparent pixels, one for each channel, if any.
        mode: Mode of the 8-bit image, if the number of channels does not determine it (CMYK, LA).
        highest: The highest value seen so far.
    """

    read: Callable[[Box | None], NDArray[np.integer]]
    white: int = 65535
    inverted: bool = False
    transparent: int | tuple[int, ...] | None = None
    mode: str | None = None
    highest: int = 0

    def eight_bit(self, box: Box | None) -> Image.Image:
        """Return the box as an 8-bit image.

        Raises:
            UnreadableImage: A value is below 0 or above *white*.
        """
        values = self.read(box)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > self.white:
            raise UnreadableImage(f"values {low} to {high} are outside 0 to {self.white}")
        self.highest = max(self.highest, high)
        eight = scaled_to_eight(values, self.white)
        image = as_image(255 - eight if self.inverted else eight, self.mode)
        if self.transparent is not None:
            clear = values == np.asarray(self.transparent)
            clear = clear if clear.ndim == 2 else clear.all(axis=2)
            image = image.convert("RGBA")
            image.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        return image

    def looks_like_12_bits(self) -> bool:
        """Return whether 16-bit samples use at most the range of 12 bits."""
        return self.white == 65535 and 255 < self.highest <= 4095


def hide_invisible(pixels: Pixels) -> Pixels:
    """Set fully transparent pixels of ``[..., 4, H, W]`` to black in place: they are invisible."""
    if pixels.shape[-3] == 4:
        colours = np.moveaxis(pixels, -3, -1)
        colours[colours[..., 3] == 0] = 0
    return pixels


def scaled_to_eight(values: NDArray[np.integer], white: int = 65535) -> Pixels:
    """Return *values* from 0 to *white* as 0 to 255, rounded to nearest."""
    if white == 65535:
        # 65535 / 255 = 257, which is odd: adding 128 rounds to nearest and no tie can occur.
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return ((values.astype(np.uint32) * 510 + white) // (2 * white)).astype(np.uint8)


def as_image(array: Pixels, mode: str | None = None) -> Image.Image:
    """Return an array ``[H, W]`` or ``[H, W, C]`` of C = 2, 3 or 4 as an image."""
    image = Image.fromarray(np.ascontiguousarray(array))
    if mode is None or image.mode == mode:
        return image
    # Reinterpreted: CMYK has as many bytes as RGBA.
    return Image.frombytes(mode, image.size, image.tobytes())
