"""Images opened by Pillow or in memory, and details that Pillow does not handle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from bigan_cli.data.colour_profile import srgb_of
from bigan_cli.data.deep_colour import decode_deep, is_split, rawmode
from bigan_cli.data.raster import ALPHA_MODES, Box, DeepSamples, Raster
from bigan_cli.data.tiff import (
    grey_scale,
    has_more_channels,
    has_more_pages,
    not_mapped,
    upright_size,
)
from bigan_cli.data.unreadable import UnreadableImage

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
_ORIENTATION_TAG = 0x0112
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
# Bytes per pixel during decoding, by the mode of the result; and the additional bytes that the
# decoder of a format needs.
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_DECODER_BYTES = {"JPEG2000": 12, "WEBP": 8, "AVIF": 8, "HEIF": 8, "GIF": 4}
_COEFFICIENT_BYTES = 6
# Pillow scales the values of grey PNGs of 2 and 4 bits to 8, but not the transparent value.
_SPREAD = {"L;2": 85, "L;4": 17}


class PillowImage:
    """An image, decoded or not.

    Args:
        image: Any PIL image; loading is the only change to it.
        profile: Its ICC profile, if Pillow does not have it.

    Attributes:
        image: As given.
        size: (width, height), as stored; of a TIFF upright.
    """

    def __init__(self, image: Image.Image, profile: bytes | None = None) -> None:
        self.image = image
        self.size = upright_size(image) if _is_tiff(image) else image.size
        self._profile = image.info.get("icc_profile") if profile is None else profile
        self._orientation: int | None = None

    @property
    def orientation(self) -> int:
        """EXIF orientation of the decoded pixels, from 1 (upright) to 8."""
        if self._orientation is None:
            # Pillow rotates TIFF images when it loads them, and no others.
            self._orientation = 1 if _is_tiff(self.image) else _orientation(self.image)
        return self._orientation

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour, 4 with alpha."""
        if self.image.mode in ALPHA_MODES or "transparency" in self.image.info:
            return 4
        return 1 if self.image.mode in GREY_MODES else 3

    @property
    def is_grey(self) -> bool:
        """Whether it has no colour, transparent or not."""
        return self.image.mode in GREY_MODES

    @property
    def has_more_pages(self) -> bool:
        """Whether the file has pages or frames after the first."""
        if _is_tiff(self.image):
            return has_more_pages(self.image)
        # An MPO file has several views of one image.
        return self.image.format in _ANIMATED and bool(getattr(self.image, "is_animated", False))

    @property
    def has_more_channels(self) -> bool:
        """Whether the file has channels that are neither colour nor alpha."""
        return _is_tiff(self.image) and has_more_channels(self.image)

    @property
    def decoding_bytes(self) -> int:
        """The approximate memory for decoding."""
        image = self.image
        if not isinstance(image, ImageFile.ImageFile):
            return 0  # already decoded
        each = _BYTES.get(image.mode, 4) * (2 if is_split(image) else 1)
        each += _DECODER_BYTES.get(image.format or "", 0)
        needed = image.width * image.height * each
        if image.info.get("progressive"):  # all coefficients, whatever the scale
            needed += self.size[0] * self.size[1] * _COEFFICIENT_BYTES
        return needed

    def shrink_while_decoding(self, side: int) -> None:
        """Decode a JPEG much larger than *side* at 1/2, 1/4 or 1/8, which is faster."""
        if isinstance(self.image, ImageFile.ImageFile):
            self.image.draft(None, (side, side))

    def decode(self, sample_bits: int | None) -> Raster:
        """Decode the image.

        Args:
            sample_bits: Bits used by samples of 16-bit grey; None for all.

        Raises:
            UnreadableImage: Its values have no agreed range.
            Exception: Pillow's exceptions for damaged files.
        """
        with self.loadable():
            return self._decode(sample_bits)

    def loadable(self) -> AbstractContextManager[None]:
        """Return a context in which the image can be loaded."""
        return not_mapped(self.image) if _is_tiff(self.image) else nullcontext()

    def _decode(self, sample_bits: int | None) -> Raster:
        image = self.image
        to_srgb, damaged = None, False
        if self._profile is not None:
            to_srgb, damaged = srgb_of(self._profile, _profile_mode(image))
        samples: DeepSamples | None = None
        if is_split(image):
            samples = decode_deep(image)
        elif image.mode == "F":
            raise UnreadableImage(
                "floating-point pixels have no agreed range: save as 8 or 16 bits"
            )
        elif image.mode.startswith("I"):
            samples = _deep_grey(image, sample_bits)
        eight_bit = _reader(image) if samples is None else samples.eight_bit
        return Raster(image.size, eight_bit, self.orientation, to_srgb, samples, damaged)


def _is_tiff(image: Image.Image) -> TypeGuard[TiffImagePlugin.TiffImageFile]:
    return isinstance(image, TiffImagePlugin.TiffImageFile)


def _profile_mode(image: Image.Image) -> Literal["L", "RGB", "CMYK"]:
    if image.mode in GREY_MODES:
        return "L"
    return "CMYK" if image.mode == "CMYK" else "RGB"


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - with a damaged EXIF block, use the stored orientation
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _deep_grey(image: Image.Image, sample_bits: int | None) -> DeepSamples:
    white, inverted = 65535, False
    if _is_tiff(image):
        white, inverted = grey_scale(image)
    image.load()
    if image.mode == "I":  # valid if the values fit in 16 bits
        white = 65535
    elif white == 65535 and sample_bits is not None:
        white = 2**sample_bits - 1
    transparent = image.info.get("transparency")

    def read(box: Box | None) -> NDArray[np.integer]:
        return np.asarray(image if box is None else image.crop(box))

    clear = transparent if isinstance(transparent, int) else None
    return DeepSamples(read, white, inverted, clear)


def _reader(image: Image.Image) -> Callable[[Box | None], Image.Image]:
    """Decode *image*, of 8 bits a sample or fewer, and return what reads boxes of it."""
    spread = _SPREAD.get(rawmode(image)) if isinstance(image, PngImagePlugin.PngImageFile) else None
    image.load()
    transparent = image.info.get("transparency")
    if spread is not None and isinstance(transparent, int):
        return _with_transparent_value(image, transparent * spread)
    # Many programs write 32-bit bitmaps with alpha 0 everywhere, without meaning transparency.
    if isinstance(image, BmpImagePlugin.BmpImageFile) and image.mode == "RGBA":
        _, highest = image.getchannel("A").getextrema()
        if highest == 0:
            return lambda box: (image if box is None else image.crop(box)).convert("RGB")
    return lambda box: image if box is None else image.crop(box)


def _with_transparent_value(image: Image.Image, value: int) -> Callable[[Box | None], Image.Image]:
    def read(box: Box | None) -> Image.Image:
        part = image.crop(box or (0, 0, *image.size)).convert("L")
        part.info["transparency"] = value
        return part

    return read
