"""Decoding of an image, from disk or memory, to uint8 pixels of the networks' shape.

The preprocessing (:data:`PREPROCESSING`) is the same wherever an image is read and is stored in
the model file, so scoring uses images exactly as training does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions, open_source, read_small
from bigan_cli.data.pillow_image import PillowImage
from bigan_cli.data.pixel_budget import DECODING
from bigan_cli.data.plain_png import LARGEST_FILE, decode_plain_png
from bigan_cli.data.raster import DeepSamples, Raster, as_image
from bigan_cli.data.sources.image_source import (
    LARGEST_CONTENTS,
    TOO_LARGE,
    ImageContents,
    ImageSource,
)
from bigan_cli.data.unreadable import UnreadableImage, why_unreadable
from bigan_cli.locations.location import read_location

if TYPE_CHECKING:
    from PIL import Image

    from bigan_cli.contracts import RawImage
    from bigan_cli.data.raster import Box
    from bigan_cli.data.tiff import TiffPage

PREPROCESSING = {
    "version": 2,
    "orientation": "EXIF orientation applied",
    "frames": "the first page or frame",
    "grey16": "round(255 v / white), white = 65535 or that of the bits declared",
    "colour16": "round(v / 257)",
    "float": "refused",
    "colour_profile": "embedded ICC profile converted to sRGB at 8 bits",
    "transparency": "composited over white for 1 and 3 channels, kept for 4",
    "invisible": "black where alpha is 0",
    "grey": "ITU-R 601 luma",
    "resize": "bilinear with the support scaled to the reduction (antialiased)",
    "aspect": "kept by mirrored padding if data.keep_aspect is set, otherwise not",
    "jpeg": "decoded at a reduced scale while at least 3 times the wanted size",
}
"""The preprocessing from file to networks; part of every model file."""

_MORE_PAGES = "with more pages or frames, of which only the first was read"
_MORE_CHANNELS = "with more channels than colour and alpha, which were not read"


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """The format of an image before conversion and resizing.

    Attributes:
        channels: 1 for grey, 3 for colour, 4 with alpha.
        height: In pixels, upright.
        width: In pixels, upright.
        remarks: Notes for the user on how it was read.
    """

    channels: int
    height: int
    width: int
    remarks: tuple[str, ...] = ()


def read_image(
    raw: RawImage, shape: ImageShape, options: DecodeOptions = DEFAULTS
) -> NDArray[np.uint8]:
    """Return *raw* as uint8 ``[C, H, W]`` of *shape*, by :data:`PREPROCESSING`.

    An image in memory has the same result as a file with the same pixels, to the bit. One that
    already has the shape is unchanged, except for the colour of fully transparent pixels.

    Args:
        raw: A file, the contents of one, a PIL image of any mode, or an array ``[H, W]`` or
            ``[H, W, C]`` of uint8 or uint16 (16-bit, 0 to 65535) with C = 1, 3 or 4.
        shape: Channels (1 grey, 3 RGB, 4 RGBA), height and width wanted.
        options: Settings of the run.

    Raises:
        UnreadableImage: The file is missing, damaged or no image, or its pixels
            have no agreed range (floating point, 32-bit values beyond 16 bits).
    """
    return read_with_format(raw, shape, options)[0]


def read_with_format(
    raw: RawImage, shape: ImageShape, options: DecodeOptions = DEFAULTS
) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Return the pixels of *raw* as :func:`read_image`, and its format.

    Raises:
        UnreadableImage: As :func:`read_image`.
    """
    if isinstance(raw, Path):
        return read_file(raw, shape, options)
    if isinstance(raw, bytes):
        return read_contents(raw, shape, options)
    if isinstance(raw, np.ndarray):
        raster = _array_raster(raw, options.sample_bits)
        return _prepared(raster, shape, 1 if raw.ndim == 2 else raw.shape[2], options)
    try:
        source = PillowImage(raw)
        return _decoded(source, shape, options)
    except Exception as error:
        raise UnreadableImage(why_unreadable(error)) from error


def read_source(
    source: ImageSource, shape: ImageShape, options: DecodeOptions = DEFAULTS
) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Return as :func:`read_file` of an image, wherever it is.

    Raises:
        UnreadableImage: As :func:`read_image`, or it cannot be reached.
    """
    if isinstance(source, Path):
        return read_file(source, shape, options)
    if isinstance(source, ImageContents):
        return read_contents(source.contents, shape, options)
    try:
        contents = read_location(source, LARGEST_CONTENTS)
    except OSError as error:
        raise UnreadableImage(why_unreadable(error)) from error
    if len(contents) > LARGEST_CONTENTS:
        raise UnreadableImage(TOO_LARGE)
    return read_contents(contents, shape, options)


def read_file(
    path: Path, shape: ImageShape, options: DecodeOptions = DEFAULTS
) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Return the pixels of the file *path* as :func:`read_image`, and its format.

    Raises:
        UnreadableImage: As :func:`read_image`.
    """
    try:
        plain = decode_plain_png(read_small(path, LARGEST_FILE))
        if plain is not None:
            return _fitted(plain, shape, options)
        with open_source(path, options) as source:
            return _decoded_small(source, shape, options)
    except Exception as error:  # Pillow raises various exceptions for damaged files
        raise UnreadableImage(why_unreadable(error), path) from error


def read_contents(
    contents: bytes, shape: ImageShape, options: DecodeOptions = DEFAULTS
) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Return as :func:`read_file` of a file with these contents.

    Raises:
        UnreadableImage: As :func:`read_image`.
    """
    try:
        plain = decode_plain_png(contents)
        if plain is not None:
            return _fitted(plain, shape, options)
        with open_source(contents, options) as source:
            return _decoded_small(source, shape, options)
    except Exception as error:
        raise UnreadableImage(why_unreadable(error)) from error


def _decoded_small(
    source: PillowImage | TiffPage, shape: ImageShape, options: DecodeOptions
) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Decode a file at a reduced scale where that is possible, as soon as there is memory."""
    # Three times in both directions, since the image may be rotated later.
    source.shrink_while_decoding(3 * max(shape.height, shape.width))
    with DECODING.reserve(source.decoding_bytes):
        return _decoded(source, shape, options)


def _decoded(
    source: PillowImage | TiffPage, shape: ImageShape, options: DecodeOptions
) -> tuple[NDArray[np.uint8], SourceFormat]:
    more = (_MORE_PAGES,) * source.has_more_pages + (_MORE_CHANNELS,) * source.has_more_channels
    channels, (width, height) = source.channels, source.size
    raster = source.decode(options.sample_bits)
    if raster.orientation >= 5:
        width, height = height, width
    pixels = raster.pixels(shape, keep_aspect=options.keep_aspect)
    return pixels, SourceFormat(channels, height, width, (*more, *raster.remarks()))


def _fitted(
    image: Image.Image, shape: ImageShape, options: DecodeOptions
) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Return the pixels and the format of a decoded image without any metadata."""
    raster = Raster(image.size, lambda box: image if box is None else image.crop(box))
    return _prepared(raster, shape, PillowImage(image).channels, options)


def _prepared(
    raster: Raster, shape: ImageShape, channels: int, options: DecodeOptions
) -> tuple[NDArray[np.uint8], SourceFormat]:
    width, height = raster.size
    pixels = raster.pixels(shape, keep_aspect=options.keep_aspect)
    return pixels, SourceFormat(channels, height, width, raster.remarks())


def _array_raster(array: NDArray[np.uint8] | NDArray[np.uint16], sample_bits: int | None) -> Raster:
    """Return an array as the decoded image of a file with the same pixels."""
    if array.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise UnreadableImage(f"pixels are {array.dtype}, not uint8 or uint16")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise UnreadableImage(f"array of shape {array.shape}, not [H, W] or [H, W, 1, 3 or 4]")
    if array.size == 0:
        raise UnreadableImage("no pixels")
    size = (array.shape[1], array.shape[0])

    def boxed(box: Box | None) -> NDArray[np.integer]:
        if box is None:
            return array
        left, top, right, bottom = box
        return array[top:bottom, left:right]

    if array.dtype == np.uint8:
        return Raster(size, lambda box: as_image(boxed(box).astype(np.uint8)))
    white = 2**sample_bits - 1 if sample_bits and array.ndim == 2 else 65535
    samples = DeepSamples(boxed, white)
    return Raster(size, samples.eight_bit, samples=samples)
