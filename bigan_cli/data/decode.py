"""One image, on disk or in memory, to uint8 pixels of the shape the networks want.

The policy (:data:`PREPROCESSING`) is the same wherever an image is read, and is stored in the
model file, so that scoring sees images exactly as training did.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from bigan_cli.contracts import SMALLEST_SIDE, ImageShape, Items
from bigan_cli.errors import DataError

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage

PREPROCESSING = {
    "version": 1,
    "orientation": "EXIF orientation applied",
    "frames": "the first",
    "grey16": "round(v / 257)",
    "float": "refused",
    "transparency": "composited over white for 1 and 3 channels, kept for 4",
    "grey": "ITU-R 601 luma",
    "resize": "bilinear with the support scaled to the reduction (antialiased)",
    "aspect": "not kept",
    "jpeg": "decoded at a reduced scale while at least 3 times the wanted size",
}
"""What happens to an image between the file and the networks; part of every model file."""

DEFAULT_SIDE = 64
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
_ALPHA_MODES = frozenset({"LA", "PA", "RGBA", "RGBa"})
# Named, so that a stray file cannot start an interpreter: Pillow's reader of EPS runs Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "DIB", "JPEG2000")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112
_SAMPLE = 64


class UnreadableImage(DataError):  # noqa: N818 - it names the finding, like its siblings
    """An image that cannot be read, or whose pixels have no agreed meaning.

    Attributes:
        reason: Why, in a few plain words, for instance ``truncated file``.
        path: The file, or None for an image in memory.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(f"cannot read {path}: {reason}" if path else f"cannot read: {reason}")
        self.reason = reason
        self.path = path


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """What an image was before it was brought to the networks' shape.

    Attributes:
        channels: 1 for grey, 3 for colour, 4 where parts may be transparent.
        height: In pixels, upright.
        width: In pixels, upright.
    """

    channels: int
    height: int
    width: int


def read_image(raw: RawImage, shape: ImageShape) -> NDArray[np.uint8]:
    """Return *raw* as uint8 ``[C, H, W]`` of *shape*, by the policy in :data:`PREPROCESSING`.

    An image that has the shape already comes back bit for bit.

    Args:
        raw: A file, a PIL image of any mode, or an array ``[H, W]`` or ``[H, W, C]`` of uint8
            or uint16 (16-bit, 0 to 65535) with C = 1, 3 or 4.
        shape: Channels (1 grey, 3 RGB, 4 RGBA), height and width wanted.

    Raises:
        UnreadableImage: The file is missing, damaged or no image, or its pixels are of a kind
            that has no agreed range (floating point, 32-bit values beyond 16 bits).
    """
    if isinstance(raw, np.ndarray):
        return _from_array(raw, shape)
    if isinstance(raw, Image.Image):
        try:
            return _pixels(raw, shape)
        except UnreadableImage:
            raise
        except Exception as error:
            raise UnreadableImage(why_unreadable(error)) from error
    return read_file(raw, shape)[0]


def read_file(path: Path, shape: ImageShape) -> tuple[NDArray[np.uint8], SourceFormat]:
    """Return the pixels of the file *path* as :func:`read_image` does, and how it was found.

    Raises:
        UnreadableImage: As :func:`read_image`.
    """
    try:
        with open_image(path) as image:
            found = _as_found(image)
            _shrink_while_decoding(image, shape)
            return _pixels(image, shape), found
    except UnreadableImage as error:
        raise UnreadableImage(error.reason, path) from error
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise UnreadableImage(why_unreadable(error), path) from error


def find_shape(
    items: Items, size: int | tuple[int, int] | None = None, channels: int | None = None
) -> ImageShape:
    """Return the shape to train at: what is asked for, and the rest found in the images.

    A sample of at most 64 images is looked at, files by their headers only. The size is their
    own where it is the same for all and at most 64 pixels a side, else 64x64; there is one
    channel where all are grey, else three.

    Args:
        items: Images of any kind; at least one.
        size: Side, or (height, width), in pixels, where given.
        channels: 1, 3 or 4, where given.

    Raises:
        UnreadableImage: None of the sampled images can be read.
    """
    wanted = (size, size) if isinstance(size, int) else size
    if wanted is not None and channels is not None:
        return ImageShape(channels, *wanted)
    looks = _sample_looks(items)
    if wanted is None:
        sizes = {look[:2] for look in looks}
        height, width = sizes.pop() if len(sizes) == 1 else (DEFAULT_SIDE, DEFAULT_SIDE)
        if max(height, width) > DEFAULT_SIDE:
            height = width = DEFAULT_SIDE
        wanted = (max(height, SMALLEST_SIDE), max(width, SMALLEST_SIDE))
    if channels is None:
        channels = 1 if all(grey for _, _, grey in looks) else 3
    return ImageShape(channels, *wanted)


def _sample_looks(items: Items) -> list[tuple[int, int, bool]]:
    """Return (height, width, whether grey) of a sample of *items*."""
    images = items.images
    if isinstance(images, np.ndarray):
        return [_look(images[0])]
    count = len(images)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64))
    looks: list[tuple[int, int, bool]] = []
    unreadable: UnreadableImage | None = None
    for i in chosen:
        try:
            looks.append(_look(images[int(i)]))
        except UnreadableImage as error:
            unreadable = unreadable or error
    if not looks and unreadable is not None:
        raise unreadable
    return looks


def _look(raw: RawImage) -> tuple[int, int, bool]:
    if isinstance(raw, np.ndarray):
        return raw.shape[0], raw.shape[1], raw.ndim == 2 or raw.shape[2] == 1
    if isinstance(raw, Image.Image):
        return raw.height, raw.width, raw.mode in _GREY_MODES
    try:
        with open_image(raw) as image:
            width, height = image.size
            # Only a small side is taken over, see find_shape; and a PNG may tell its
            # orientation after its pixels, so that asking for it decodes the image.
            matters = width != height and max(image.size) <= DEFAULT_SIDE
            if matters and _orientation(image) >= 5:
                width, height = height, width
            return height, width, image.mode in _GREY_MODES
    except Exception as error:
        raise UnreadableImage(why_unreadable(error), raw) from error


def open_image(path: Path) -> ImageFile.ImageFile:
    """Open an image file in one of the formats that are read; its pixels are not loaded yet.

    Raises:
        OSError: It is missing, empty, no regular file or no image.
    """
    # Asked first, since opening a named pipe would wait for ever; and only once, since a tiny
    # image is decoded in less time than some file systems take to answer.
    try:
        status = os.stat(path)  # noqa: PTH116  pathlib's own costs twice as much
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(path) from error
    if not stat.S_ISREG(status.st_mode):
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(path)
        raise OSError("not a regular file")
    if status.st_size == 0:
        raise OSError("empty file")
    return Image.open(path, formats=_FORMATS)


def _shrink_while_decoding(image: Image.Image, shape: ImageShape) -> None:
    """Let a JPEG several times too large be decoded at 1/2, 1/4 or 1/8, which is much faster."""
    side = 3 * max(shape.height, shape.width)  # both ways, since it may yet be turned
    image.draft(None, (side, side))


def _as_found(image: Image.Image) -> SourceFormat:
    transparent = image.mode in _ALPHA_MODES or "transparency" in image.info
    channels = 4 if transparent else 1 if image.mode in _GREY_MODES else 3
    width, height = image.size if _orientation(image) < 5 else image.size[::-1]
    return SourceFormat(channels, height, width)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - a damaged EXIF block leaves a good picture: take it as stored
        return 1
    return value if isinstance(value, int) else 1


def _pixels(image: Image.Image, shape: ImageShape) -> NDArray[np.uint8]:
    image.load()
    turn = _TURNS.get(_orientation(image))
    ready = _with_channels(_eight_bit(image), shape.channels)
    if turn is not None:
        ready = ready.transpose(turn)
    if ready.size != (shape.width, shape.height):
        ready = ready.resize((shape.width, shape.height), Image.Resampling.BILINEAR)
    array = np.asarray(ready)
    return array[None].copy() if array.ndim == 2 else array.transpose(2, 0, 1).copy()


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return *image* in mode L, RGB or RGBA."""
    if image.mode.startswith("I"):
        return _from_sixteen_bit(image)
    if image.mode == "F":
        raise UnreadableImage("floating-point pixels have no agreed range: save as 8 or 16 bits")
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return image.convert("RGBA")
    wanted = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _from_sixteen_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise UnreadableImage(f"32-bit values {low} to {high} lie outside 0 to 65535")
    grey = Image.fromarray(_sixteen_to_eight(values))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey = grey.convert("RGBA")
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _sixteen_to_eight(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    # 65535 / 255 = 257, which is odd: adding 128 rounds to nearest and no tie can occur.
    return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)


def _with_channels(image: Image.Image, channels: int) -> Image.Image:
    if image.mode == "RGBA" and channels != 4:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    wanted = _MODES[channels]
    return image if image.mode == wanted else image.convert(wanted)


def _from_array(
    array: NDArray[np.uint8] | NDArray[np.uint16], shape: ImageShape
) -> NDArray[np.uint8]:
    if array.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise UnreadableImage(f"pixels are {array.dtype}, not uint8 or uint16")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise UnreadableImage(f"array of shape {array.shape}, not [H, W] or [H, W, 1, 3 or 4]")
    if array.size == 0:
        raise UnreadableImage("no pixels")
    eight = _sixteen_to_eight(array) if array.dtype == np.uint16 else array.astype(np.uint8)
    return _pixels(Image.fromarray(np.ascontiguousarray(eight)), shape)


def why_unreadable(error: BaseException) -> str:
    """Return why an image could not be read, in plain words."""
    for kind, words in (
        (FileNotFoundError, "no such file"),
        (IsADirectoryError, "a folder, not a file"),
        (PermissionError, "permission denied"),
        (UnidentifiedImageError, "not an image in a known format"),
        (Image.DecompressionBombError, "too many pixels"),
        (Image.DecompressionBombWarning, "too many pixels"),
        (MemoryError, "too large for this machine's memory"),
        (EOFError, "truncated file"),
    ):
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated file"
    if text in ("empty file", "not a regular file"):
        return text
    return f"damaged file ({text or type(error).__name__})"
