"""Images as a caller from Python gives them: paths, PIL images and arrays, one or many."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from bigan_cli.contracts import CHANNELS, ImageShape
from bigan_cli.data.decode import read_image
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.errors import DataError, InputTypeError, UsageError
from bigan_cli.image_files import find_images, is_folder

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage

ImageInput: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[np.uint8 | np.uint16]
ImageInputs: TypeAlias = ImageInput | Iterable[ImageInput]

_EXPECTED = (
    "expected a path, a PIL image or an array [H, W] or [H, W, C] of uint8 or uint16, "
    "C = 1, 3 or 4, or an iterable of these"
)
# Pixels of the images that are prepared together: bounds the memory that a generator takes.
_TOGETHER = 16 * 2**20


def iter_images(images: ImageInputs, channels: int | None = None) -> Iterator[tuple[str, RawImage]]:
    """Yield a name and the image for each image in *images*, without decoding it.

    Args:
        images: A path (of a folder: all images in it), a PIL image, an array, or an iterable of
            these. An array ``[N, H, W]`` or ``[N, H, W, C]`` is N images; one of three axes
            whose last is 1, 3 or 4 long is a single image ``[H, W, C]``.
        channels: Of the images wanted, where known; tells a stack of grey images from a
            colour image with its channels first.

    Yields:
        The path, or ``image 0``, ``image 1``, ... for images in memory.

    Raises:
        InputTypeError: Something is neither; the message says what is expected.
        UsageError: An array has another shape.
        DataError: A folder holds no images.
    """
    for number, each in enumerate(_each(images, channels)):
        if isinstance(each, Path):
            if is_folder(each):
                for path in find_images([each]):
                    if not isinstance(path, Path):
                        raise path
                    yield str(path), path
            else:
                yield str(each), each
        else:
            yield f"image {number}", each


def image_batches(
    images: ImageInputs, shape: ImageShape, options: DecodeOptions = DEFAULTS
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Yield names and pixels uint8 ``[N, C, H, W]`` of *images*, some at a time, in order.

    Each image is prepared by :func:`read_image`, whatever it came in.

    Raises:
        InputTypeError: As :func:`iter_images`.
        UsageError: As :func:`iter_images`.
        DataError: An image cannot be read; the message names it.
    """
    size = max(1, _TOGETHER // (shape.channels * shape.height * shape.width))
    found = iter_images(images, shape.channels)
    read = partial(_read, shape=shape, options=options)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decode") as pool:
        while batch := list(islice(found, size)):
            one = len(batch) == 1  # a thread would take longer to start
            rows = map(read, batch) if one else pool.map(read, batch)
            yield [name for name, _ in batch], np.stack(list(rows))


def _read(
    named: tuple[str, RawImage], shape: ImageShape, options: DecodeOptions
) -> NDArray[np.uint8]:
    name, raw = named
    try:
        return read_image(raw, shape, options)
    except UnreadableImage as error:
        raise DataError(f"cannot read {name}: {error.reason}") from error


def _each(images: ImageInputs, channels: int | None) -> Iterator[RawImage]:
    if isinstance(images, str | os.PathLike | Image.Image):
        yield _one(images, "the image")
    elif isinstance(images, np.ndarray) and images.dtype.kind not in "OU":
        yield from _from_array(images, channels)
    elif isinstance(images, Mapping | bytes | bytearray | io.IOBase) or not isinstance(
        images, Iterable
    ):
        raise InputTypeError(f"{_described(images)} is no image: {_EXPECTED}")
    else:
        for number, each in enumerate(images):
            yield _one(each, f"image {number}")


def _from_array(array: NDArray[np.uint8 | np.uint16], channels: int | None) -> Iterator[RawImage]:
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS):
        yield _one(array, "the image")
        return
    last = array.shape[-1] if array.ndim else 0
    if array.ndim == 3 and channels in (3, 4) and array.shape[0] == channels:
        raise UsageError(
            f"an array of shape {array.shape} has its channels first, or is {channels} grey images",
            "put the channels last, [H, W, C], or pass a list of images",
        )
    if array.ndim not in (3, 4) or (array.ndim == 4 and last not in CHANNELS) or last == 2:
        raise UsageError(f"an array of shape {array.shape} is no image: {_EXPECTED}")
    for number in range(len(array)):
        yield _one(array[number], f"image {number}")


def _one(image: object, name: str) -> RawImage:
    """Return one image in the form to read it from, or raise an error."""
    if isinstance(image, str | os.PathLike):
        path = os.fspath(image)
        if isinstance(path, str):
            return Path(path).expanduser()
    if isinstance(image, Image.Image):
        return _undecoded_file(image) or image
    if not isinstance(image, np.ndarray):
        raise InputTypeError(f"{name} is {_described(image)}: {_EXPECTED}")
    if image.dtype.kind == "f":
        raise InputTypeError(
            f"{name} has pixels of type {image.dtype}, which have no agreed range: {_EXPECTED}",
            "for values from 0 to 1: (255 * image).round().astype('uint8')",
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise InputTypeError(f"{name} has pixels of type {image.dtype}: {_EXPECTED}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in CHANNELS):
        raise UsageError(f"{name} is an array of shape {image.shape}: {_EXPECTED}")
    if image.size == 0:
        raise UsageError(f"{name} is an array of shape {image.shape}, which has no pixels")
    return image


def _undecoded_file(image: Image.Image) -> Path | None:
    """Return the file of a JPEG that was opened and not decoded yet.

    A large one is decoded at a reduced scale, and only from the file is that done alike.
    """
    if isinstance(image, ImageFile.ImageFile) and image.format == "JPEG" and image.tile:
        file = getattr(image, "filename", "")
        if isinstance(file, str) and file and Path(file).is_file():
            return Path(file)
    return None


def _described(value: object) -> str:
    kind = type(value)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"a {name}"
