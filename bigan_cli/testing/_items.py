"""Checks of the items of one split: lengths, types, pixels; each raises ContractViolation."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bigan_cli.contracts import CHANNELS, SMALLEST_SIDE, ImageShape, Items
from bigan_cli.data.decode import read_image
from bigan_cli.data.find_shape import find_shape
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.plugins.checks import format_error
from bigan_cli.testing._checks import ContractViolation, require, shorten

_SAMPLE = 12
_THREADS = 4
# Decoded images in a list may take this much memory.
_LIST_BYTES = 64 * 2**20
_PIXEL_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def sample(items: Items, most: int = _SAMPLE) -> list[int]:
    """Return the indices of a few images at equal distances, from the first to the last."""
    spread = np.linspace(0, len(items) - 1, min(len(items), most))
    return sorted({int(i) for i in spread})


def check_fields(split: str, items: Items) -> None:
    """Check the lengths and types of the fields."""
    require(
        items.labels.ndim == 1, f"the labels of the {split} split are {items.labels.shape}, not [N]"
    )
    count = len(items.labels)
    parts = {"images": items.images, "masks": items.masks, "names": items.names}
    for what, sequence in parts.items():
        if sequence is not None:
            require(
                len(sequence) == count,
                f"the {split} split has {len(sequence)} {what} for {count} labels",
            )
    if isinstance(items.images, np.ndarray):
        _check_array(split, items.images)
    # Any: the annotations are what is being checked.
    called: Any = items.names
    masks: Any = items.masks
    if called is not None:
        names = [name for name in called if not isinstance(name, str) or not name]
        require(
            not names, f"names of the {split} split are not strings: {shorten(map(repr, names))}"
        )
        repeated = len(called) - len(set(called))
        require(not repeated, f"{repeated} names of the {split} split are repeated")
    for mask in masks if masks is not None else ():
        for part in mask if isinstance(mask, tuple) else (mask,):
            _check_mask(split, part)


def _check_mask(split: str, mask: Any) -> None:
    if isinstance(mask, Path):
        require(mask.is_file(), f"a mask of the {split} split is no file: {mask}")
    elif isinstance(mask, np.ndarray):
        right = mask.ndim == 2 and mask.dtype.kind in "bu"
        require(right, f"a mask of the {split} split is {mask.dtype} {mask.shape}, not [H, W]")
    else:
        known = mask is None or isinstance(mask, Image.Image)
        require(known, f"a mask of the {split} split is no file, image or array: {mask!r:.80}")


def _check_array(split: str, images: NDArray[Any]) -> None:
    deep = images.ndim == 4 and images.shape[3] in CHANNELS
    require(
        images.ndim == 3 or deep,
        f"the images of the {split} split have shape {images.shape}, "
        "not [N, H, W] or [N, H, W, 1, 3 or 4]",
    )
    require(
        images.dtype in _PIXEL_TYPES,
        f"the images of the {split} split are {images.dtype}, not uint8",
    )


def check_lazy(split: str, items: Items) -> str:
    """Check that images are not decoded in advance; return how they are stored."""
    images = items.images
    if isinstance(images, np.ndarray):
        return "one array"
    if not len(images):
        return "empty"
    first: Any = images[0]
    if isinstance(first, Path):
        return "files"
    if isinstance(images, list | tuple):
        each = _bytes_of(first)
        held = each * len(images)
        require(
            held <= _LIST_BYTES,
            f"the {split} split holds {len(images)} decoded images in a list, {held >> 20} MiB; "
            "return paths, one array, or a sequence that decodes on access",
        )
    return "decoded on access" if not isinstance(images, list | tuple) else "a short list"


def _bytes_of(raw: Any) -> int:
    if isinstance(raw, bytes):
        return len(raw)
    return int(raw.nbytes if isinstance(raw, np.ndarray) else raw.width * raw.height)


def check_readable(split: str, items: Items) -> int:
    """Read a sample with every number of channels; return the number of images read."""
    places = sample(items)
    if not places:
        return 0
    try:
        found = find_shape(items)
        for i in places:
            for channels in CHANNELS:
                shape = ImageShape(channels, found.height, found.width)
                pixels = read_image(items.images[i], shape)
                wanted = (channels, shape.height, shape.width)
                require(
                    pixels.shape == wanted and pixels.dtype == np.uint8,
                    f"image {i} of the {split} split became {pixels.dtype} {pixels.shape}",
                )
    except UnreadableImage as error:
        raise ContractViolation(f"an image of the {split} split {error.message}") from error
    return len(places)


def check_native_shape(split: str, items: Items, shape: ImageShape) -> None:
    """Check that a sample has the declared *shape*."""
    for i in sample(items):
        found = _shape_of(items.images[i])
        require(
            found == shape,
            f"image_shape is {shape}, but image {i} of the {split} split is {found}",
        )


def _shape_of(raw: Any) -> ImageShape:
    if isinstance(raw, np.ndarray):
        return ImageShape(raw.shape[2] if raw.ndim == 3 else 1, *raw.shape[:2])
    if isinstance(raw, Path | bytes):
        with Image.open(io.BytesIO(raw) if isinstance(raw, bytes) else raw) as image:
            return ImageShape(_channels_of(image), image.height, image.width)
    return ImageShape(_channels_of(raw), raw.height, raw.width)


def _channels_of(image: Image.Image) -> int:
    bands = len(image.getbands())
    # A palette image has one band, a grey image with alpha two.
    return 3 if image.mode == "P" else 4 if image.mode == "LA" else bands


def same_items(first: Items, second: Items) -> str:
    """Return the difference between two readings of one split, or an empty string."""
    if len(first) != len(second):
        return f"{len(second)} images instead of {len(first)}"
    if not np.array_equal(first.labels, second.labels):
        return "other labels"
    if list(first.names or ()) != list(second.names or ()):
        return "other names"
    for i in sample(first):
        if _digest(first.images[i]) != _digest(second.images[i]):
            return f"image {i} differs"
    return ""


def shared_images(train: Items, test: Items) -> int:
    """Return how many images of *test* are also in *train*: by path, or by pixels in memory."""
    if any(isinstance(images, np.ndarray) for images in (train.images, test.images)):
        known = {_digest(image) for image in train.images}
        return sum(_digest(image) in known for image in test.images)
    paths = {image for image in train.images if isinstance(image, Path)}
    return sum(image in paths for image in test.images if isinstance(image, Path))


def _digest(raw: Any) -> object:
    if isinstance(raw, Path):
        return raw
    stored = raw if isinstance(raw, bytes) else np.ascontiguousarray(np.asarray(raw)).tobytes()
    return hashlib.blake2b(stored, digest_size=16).digest()


def check_threads(split: str, items: Items) -> None:
    """Refuse images or masks that fail, or are others, in other threads than the first."""
    places = sample(items)
    for what, sequence in (("image", items.images), ("mask", items.masks)):
        if sequence is None or isinstance(sequence, np.ndarray):
            continue
        expected = [_content(sequence[i]) for i in places]
        # Each place several times, so that threads meet.
        wanted = [i for i in places for _ in range(_THREADS)]
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = [pool.submit(_fetch, sequence, i) for i in wanted]
        for i, future in zip(wanted, futures, strict=True):
            try:
                same = future.result() == expected[places.index(i)]
            except Exception as error:
                raise ContractViolation(
                    f"{what} {i} of the {split} split, indexed in another thread: "
                    f"{format_error(error)}; bigan decodes in several threads"
                ) from error
            require(same, f"{what} {i} of the {split} split is another one in another thread")


def _fetch(sequence: Any, i: int) -> object:
    return _content(sequence[i])


def _content(raw: Any) -> object:
    if isinstance(raw, tuple):
        return tuple(map(_digest, raw))
    return None if raw is None else _digest(raw)


def check_sides(split: str, items: Items) -> None:
    """Refuse a sample with an image of fewer than 8 pixels a side."""
    for i in sample(items):
        try:
            shape = _shape_of(items.images[i])
        except UnidentifiedImageError:  # another check reports it
            continue
        require(
            min(shape.height, shape.width) >= SMALLEST_SIDE,
            f"image {i} of the {split} split is {shape.height}x{shape.width} pixels, "
            f"fewer than {SMALLEST_SIDE} a side",
        )
