"""TIFF files that Pillow reads wrongly or not at all."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from bigan_cli.data.colour_profile import srgb_of
from bigan_cli.data.deep_colour import is_split, rawmode
from bigan_cli.data.libtiff_messages import silence
from bigan_cli.data.raster import Box, DeepSamples, Raster
from bigan_cli.data.unreadable import UnreadableImage

_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_SAMPLES, _MAX_SAMPLE, _PLANAR, _FORMAT = 277, 281, 284, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_TWO_PLANES = 2


def open_tiff(stream: IO[bytes], name: str) -> ImageFile.ImageFile | TiffPage:
    """Open the first page of a TIFF without decoding it.

    Raises:
        UnreadableImage: Its samples have no agreed meaning.
        SyntaxError: It is damaged.
    """
    silence()
    try:
        image = TiffImagePlugin.TiffImageFile(stream, name)
    except SyntaxError as error:
        if "mode" not in str(error) and "planar" not in str(error).lower():
            raise
        return TiffPage(stream)
    if _SIGNED in image.tag_v2.get(_FORMAT, ()) and depth(image) <= 16:
        raise UnreadableImage("signed pixels have no agreed range: save as unsigned 8 or 16 bits")
    if depth(image) > 8 and (
        image.tag_v2.get(_PLANAR, 1) == _TWO_PLANES and len(image.tag_v2.get(_BITS, ())) > 1
    ):
        return TiffPage(stream)
    is_colour = image.mode not in ("I", "F") and not image.mode.startswith("I;16")
    if depth(image) == 16 and is_colour and not is_split(image):
        return TiffPage(stream)
    return image


def _is_turned(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Return whether the stored rows are columns of the upright image."""
    return image.tag_v2.get(_ORIENTATION, 1) in (5, 6, 7, 8)


@contextmanager
def not_mapped(image: TiffImagePlugin.TiffImageFile) -> Iterator[None]:
    """Keep Pillow from mapping the file of a turned image while it is loaded.

    Pillow 13.0 maps it with its sides exchanged, which garbles it. A file is mapped by its name.
    """
    name = image.filename
    if _is_turned(image):
        image.filename = ""
    try:
        yield
    finally:
        image.filename = name


def upright_size(image: TiffImagePlugin.TiffImageFile) -> tuple[int, int]:
    """Return (width, height) of *image* once it is loaded, which rotates it."""
    width, height = int(image.tag_v2.get(_WIDTH, 0)), int(image.tag_v2.get(_LENGTH, 0))
    return (height, width) if _is_turned(image) else image.size


def depth(image: TiffImagePlugin.TiffImageFile) -> int:
    """Return the bits of a sample."""
    return int(max(image.tag_v2.get(_BITS, (1,))))


def grey_scale(image: TiffImagePlugin.TiffImageFile) -> tuple[int, bool]:
    """Return (value of full intensity, whether it means black) of grey of more than 8 bits."""
    bits = depth(image)
    inverted = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and not rawmode(image).endswith("I")
    return _white(2**bits - 1, image.tag_v2.get(_MAX_SAMPLE)), inverted


def has_more_pages(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Return whether another page follows the first."""
    return bool(image.tag_v2.next)


def has_more_channels(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Return whether it has channels that Pillow does not read."""
    read = 3 if image.mode == "RGBX" else len(image.getbands())
    return int(image.tag_v2.get(_SAMPLES, 1)) > read


def _white(full: int, declared: object) -> int:
    """Return the value of full intensity: the declared one, if it is that of a bit depth."""
    if isinstance(declared, tuple):
        declared = declared[0] if declared else None
    if isinstance(declared, int) and 255 < declared < full and declared & (declared + 1) == 0:
        return declared
    return full


class TiffPage:
    """The first page of a TIFF, read by tifffile.

    Attributes:
        size: (width, height), as stored.
        channels: 1 grey, 3 colour, 4 with alpha.
        is_grey: Whether it has no colour, transparent or not.
        orientation: EXIF orientation, 1 to 8.
        has_more_pages: Whether another page follows.
        has_more_channels: Whether it has channels that are neither colour nor alpha.
        decoding_bytes: The approximate memory for decoding.

    Raises:
        UnreadableImage: tifffile cannot read it either, or its samples have no agreed meaning.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        import tifffile

        stream.seek(0)
        try:
            self._file = tifffile.TiffFile(stream)
            page = self._file.pages.first
            self.has_more_pages = _follows(self._file)
        except (tifffile.TiffFileError, struct.error, IndexError) as error:
            raise UnreadableImage(f"damaged file ({error})") from error
        self._page = page
        self.size = (page.imagewidth, page.imagelength)
        extra = [int(kind) for kind in page.extrasamples]
        self._alpha = int(bool(extra) and extra[0] in (1, 2))
        self._premultiplied = bool(extra) and extra[0] == 1
        self._colours = 3 if page.photometric == _RGB else 1
        if (
            page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
            or page.sampleformat != _UNSIGNED
            or not 8 <= page.bitspersample <= 16
            or page.imagedepth != 1
        ):
            raise UnreadableImage(_refusal(int(page.sampleformat), int(page.bitspersample)))
        self.channels = 4 if self._alpha else self._colours
        self.has_more_channels = int(page.samplesperpixel) > self._colours + self._alpha
        self.is_grey = self._colours == 1
        orientation = _number(page, "Orientation", 1)
        self.orientation = orientation if 1 <= orientation <= 8 else 1
        profile = page.tags.get("InterColorProfile")
        self._profile = profile.value if profile is not None else None
        self.decoding_bytes = 2 * int(page.nbytes)

    def shrink_while_decoding(self, side: int) -> None:
        """Do nothing: a TIFF cannot be decoded at a smaller scale."""

    def decode(self, sample_bits: int | None) -> Raster:
        """Decode the page.

        Args:
            sample_bits: Bits used by samples of 16 bits; None for all.

        Raises:
            UnreadableImage: Its compression needs another package, or it is damaged.
        """
        samples = self._samples(sample_bits)
        to_srgb, damaged = srgb_of(self._profile, "RGB" if self._colours == 3 else "L")
        return Raster(self.size, samples.eight_bit, self.orientation, to_srgb, samples, damaged)

    def _samples(self, sample_bits: int | None) -> DeepSamples:
        """Return the decoded samples.

        Raises:
            UnreadableImage: Its compression needs another package, or it is damaged.
        """
        array = self._decoded()
        bits = self._page.bitspersample
        white = _white(2**bits - 1, _number(self._page, "MaxSampleValue", 0))
        if bits == 16 and white == 65535 and sample_bits:
            white = 2**sample_bits - 1
        if self._premultiplied:
            array = _unmultiplied(array, white)
        inverted = self._page.photometric == _WHITE_IS_ZERO
        mode = "LA" if self._colours == 1 and self._alpha else None
        if inverted and self._alpha:
            array = array.copy()
            array[..., 0] = white - np.minimum(array[..., 0], white)
            inverted = False

        def read(box: Box | None) -> NDArray[np.integer]:
            if box is None:
                return array
            left, top, right, bottom = box
            return array[top:bottom, left:right]

        return DeepSamples(read, white, inverted, mode=mode)

    def _decoded(self) -> NDArray[np.integer]:
        try:
            array = np.asarray(self._page.asarray(maxworkers=1))
        except (ValueError, NotImplementedError) as error:
            if "imagecodecs" in str(error):
                raise UnreadableImage(
                    f"a TIFF of {self._page.bitspersample} bits with "
                    f"compression {int(self._page.compression)}: pip install imagecodecs, or "
                    "save it as 16 bits, uncompressed"
                ) from error
            raise
        axes = self._page.axes
        if axes.startswith("S"):
            array = np.moveaxis(array, 0, -1)
        kept = self._colours + self._alpha
        array = array.reshape(self.size[1], self.size[0], -1)[..., :kept]
        if array.shape[2] != kept:
            raise UnreadableImage(f"damaged file ({array.shape[2]} samples a pixel, not {kept})")
        return array[..., 0] if kept == 1 else array


def _refusal(sample_format: int, bits: int) -> str:
    if sample_format == _FLOAT:
        return "floating-point pixels have no agreed range: save as 8 or 16 bits"
    if sample_format == _SIGNED:
        return "signed pixels have no agreed range: save as unsigned 8 or 16 bits"
    return f"a TIFF of a kind that is not read ({bits} bits): save as 8 or 16 bits, grey or RGB"


def _number(page: object, tag: str, default: int) -> int:
    found = page.tags.get(tag)  # type: ignore[attr-defined]
    value = default if found is None else found.value
    value = value[0] if isinstance(value, tuple) and value else value
    return int(value) if isinstance(value, int) else default


def _follows(file: object) -> bool:
    try:
        return len(file.pages) > 1  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - the first page is independent of a damaged chain of pages
        return True


def _unmultiplied(array: NDArray[np.integer], white: int) -> NDArray[np.integer]:
    """Return colours without premultiplied alpha."""
    alpha = array[..., -1:].astype(np.uint32)
    colours = array[..., :-1].astype(np.uint32) * white + alpha // 2
    plain = np.minimum(np.where(alpha > 0, colours // np.maximum(alpha, 1), 0), white)
    return np.concatenate([plain, alpha], axis=-1)
