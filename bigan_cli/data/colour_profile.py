"""Conversion of pixels with embedded ICC colour profiles to sRGB, as in image viewers."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

Convert = Callable[[Image.Image], Image.Image]

# A profile that changes no colour by more than this is sRGB up to rounding; it is ignored, so
# the pixels of ordinary photographs are unchanged.
_ROUNDING = 2


class UnusableProfile(ValueError):  # noqa: N818 - a finding, not an error of the program
    """A colour profile that is damaged, or for other channels than those of the image."""


@lru_cache(maxsize=64)
def converter_to_srgb(profile: bytes, mode: Literal["L", "RGB", "CMYK"]) -> Convert | None:
    """Return a converter of images of *mode* from *profile* to sRGB; None if nothing changes.

    The converter for L also accepts grey in RGB and RGBA, that for RGB also RGBA; alpha is
    unchanged. CMYK becomes RGB.

    Raises:
        UnusableProfile: The profile cannot be used for such images.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if mode == "L":
            return _grey_converter(source, space)
        if space != mode:
            raise UnusableProfile(f"a profile for {space} in an image in {mode}")
        transforms: dict[str, ImageCms.ImageCmsTransform] = {mode: _transform(source, mode, "RGB")}
        if mode == "RGB":
            if _changes_little(transforms["RGB"]):
                return None
            transforms["RGBA"] = _transform(source, "RGBA", "RGBA")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise UnusableProfile(str(error)) from error
    return lambda image: _apply(transforms[image.mode], image)


def _transform(
    source: ImageCms.ImageCmsProfile,
    mode: str,
    out: str,
    flags: ImageCms.Flags = ImageCms.Flags.NONE,
) -> ImageCms.ImageCmsTransform:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, mode, out, intent, flags)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = transform.apply(image)
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _grey_converter(source: ImageCms.ImageCmsProfile, space: str) -> Convert | None:
    """Return a look-up table of 256 values as a converter, or None if nothing changes."""
    values = np.arange(256, dtype=np.uint8)
    if space == "GRAY":
        # Unoptimised: dark greys would be off by up to 7.
        exact = _transform(source, "L", "RGB", ImageCms.Flags.NOOPTIMIZE)
        shown = exact.apply(Image.fromarray(values[None]))
    elif space == "RGB":  # a leftover from before the image was converted to grey
        ramp = Image.fromarray(np.repeat(values[None, :, None], 3, axis=2))
        shown = _transform(source, "RGB", "RGB").apply(ramp)
    else:
        raise UnusableProfile(f"a profile for {space} in a grey image")
    table = np.asarray(shown)[0, :, 1]
    if np.abs(table.astype(int) - values).max() <= _ROUNDING:
        return None
    grey, unchanged = table.tolist(), values.tolist()
    tables = {"L": grey, "RGB": grey * 3, "RGBA": grey * 3 + unchanged}
    return lambda image: image.point(tables[image.mode])


def _changes_little(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    converted = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(converted.astype(int) - colours).max()) <= _ROUNDING


def srgb_of(
    profile: bytes | None, mode: Literal["L", "RGB", "CMYK"]
) -> tuple[Convert | None, bool]:
    """Return the converter for *profile*, if one is needed, and whether it cannot be used."""
    if profile is None:
        return None, False
    try:
        return converter_to_srgb(profile, mode), False
    except UnusableProfile:
        return None, True
