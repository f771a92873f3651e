"""Image files: the supported formats, opening and decoding."""

from __future__ import annotations

import importlib
import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile, PngImagePlugin

from bigan_cli.config.schema import DataConfig
from bigan_cli.data.pillow_image import PillowImage
from bigan_cli.data.png_chunks import checked_png
from bigan_cli.data.tiff import TiffPage, open_tiff
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.image_files import PILLOW_FORMATS

_FORMATS = (*PILLOW_FORMATS, "HEIF")  # which pillow-heif adds
_PLUGINS = ("Png", "Jpeg", "Bmp", "Gif", "Ppm", "Tiff", "WebP", "Jpeg2K", "Avif")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """The settings of a run for reading files.

    Attributes:
        max_megapixels: Larger images are refused (``data.max_megapixels``).
        sample_bits: Bits used by the samples of 16-bit files (``data.sample_bits``); None
            for all 16, or as many as the file declares.
        keep_aspect: Whether images of another aspect ratio are padded instead of stretched
            (``data.keep_aspect``).
    """

    max_megapixels: int = 200
    sample_bits: int | None = None
    keep_aspect: bool = False

    @classmethod
    def of(cls, config: DataConfig, max_megapixels: int | None = None) -> DecodeOptions:
        """Return the settings of a run, with another limit if one is given."""
        limit = max_megapixels or config.max_megapixels
        return cls(limit, config.sample_bits, config.keep_aspect)


DEFAULTS = DecodeOptions()


@contextmanager
def open_image(path: Path, options: DecodeOptions = DEFAULTS) -> Iterator[ImageFile.ImageFile]:
    """Open an image file with Pillow, without decoding it.

    Raises:
        OSError: It is missing, empty, no regular file or no image.
        UnreadableImage: It is too large, or of a kind that Pillow cannot read.
    """
    with open_source(path, options) as source:
        if not isinstance(source, PillowImage) or not isinstance(source.image, ImageFile.ImageFile):
            raise UnreadableImage("a kind of TIFF that is not read here: save it as PNG")
        with source.loadable():
            yield source.image


@contextmanager
def open_source(
    file: Path | bytes, options: DecodeOptions = DEFAULTS
) -> Iterator[PillowImage | TiffPage]:
    """Open an image file, or the contents of one, without decoding it.

    Raises:
        OSError: It is missing, empty, no regular file or no image.
        UnreadableImage: It is too large, or its samples have no agreed meaning.
    """
    if isinstance(file, bytes):
        if not file:
            raise UnreadableImage("empty file")
        yield open_stream(io.BytesIO(file), options=options)
        return
    _regular_size(file)
    with file.open("rb") as stream:
        yield open_stream(stream, os.fspath(file), options)


def read_small(path: Path, limit: int) -> bytes:
    """Return the contents of an image file of at most *limit* bytes; nothing of a larger one.

    Raises:
        OSError: It is missing, empty or no regular file.
        UnreadableImage: Likewise.
    """
    if _regular_size(path) > limit:
        return b""
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  faster for tiny files
        return stream.read()


def open_stream(
    stream: IO[bytes], name: str = "", options: DecodeOptions = DEFAULTS
) -> PillowImage | TiffPage:
    """Open the contents of an image file without decoding them; *stream* must stay open.

    Raises:
        OSError: They are no image.
        UnreadableImage: As :func:`open_source`.
    """
    source = _identified(stream, name)
    width, height = source.size
    if width * height > options.max_megapixels * 1_000_000:
        raise UnreadableImage(
            f"{width} x {height} pixels are more than the limit of {options.max_megapixels} "
            "megapixels ('data.max_megapixels')"
        )
    return source


def _regular_size(path: Path) -> int:
    """Return the size in bytes of a regular file that is not empty."""
    # Checked first, since opening a named pipe would block; and only once, since a tiny
    # image is decoded in less time than some file systems take to answer.
    try:
        status = os.stat(path)  # noqa: PTH116  pathlib's own costs twice as much
    except ValueError as error:  # a NUL character in the name
        raise FileNotFoundError(path) from error
    if not stat.S_ISREG(status.st_mode):
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(path)
        raise UnreadableImage("not a regular file")
    if status.st_size == 0:
        raise UnreadableImage("empty file")
    return status.st_size


def _identified(stream: IO[bytes], name: str) -> PillowImage | TiffPage:
    prefix = stream.read(16)
    _register()
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS:
        _register_heif()
    damage: Exception | None = None
    for kind in _FORMATS:
        factory, accept = Image.OPEN.get(kind, (None, None))
        if factory is None or not (accept is None or accept(prefix) is True):
            continue
        try:
            return _opened(kind, stream, name)
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            damage = damage or error
    if damage is not None:
        raise UnreadableImage(f"damaged file ({damage})") from damage
    raise UnreadableImage(_missing_plugin(prefix) or "not an image in a known format")


def _opened(kind: str, stream: IO[bytes], name: str) -> PillowImage | TiffPage:
    stream.seek(0)
    if kind == "PNG":
        content, profile = checked_png(stream.read())
        return PillowImage(PngImagePlugin.PngImageFile(io.BytesIO(content), name), profile)
    if kind == "TIFF":
        opened = open_tiff(stream, name)
        return opened if isinstance(opened, TiffPage) else PillowImage(opened)
    return PillowImage(Image.OPEN[kind][0](stream, name))


@cache
def _register() -> None:
    """Import Pillow's readers of the supported formats."""
    for name in _PLUGINS:
        with suppress(ImportError):  # AVIF came with Pillow 11.3
            importlib.import_module(f"PIL.{name}ImagePlugin")


@cache
def _register_heif() -> bool:
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _missing_plugin(prefix: bytes) -> str:
    """Return what to install to read a file that starts with *prefix*, or an empty string."""
    brand = prefix[8:12] if prefix[4:8] == b"ftyp" else b""
    if brand in _AVIF_BRANDS:
        return "AVIF is not supported by this Pillow: pip install 'pillow>=11.3'"
    if brand in _HEIF_BRANDS and not _register_heif():
        return "HEIC needs another package: pip install pillow-heif"
    return ""
