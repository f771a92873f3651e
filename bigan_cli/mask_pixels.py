"""The anomalous pixels of a ground-truth mask, by one rule for files and arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_LARGEST_CODE = 31
"""Largest value of masks whose values are numbers of defect kinds."""
_SMALLEST_LOSSY = 64
_LOSSY = frozenset({"JPEG", "MPO", "WEBP", "JPEG2000"})
_ALPHA_MODES = frozenset({"LA", "PA", "RGBA"})


def anomalous_pixels(mask: Image.Image | NDArray[Any]) -> NDArray[np.bool_]:
    """Return the anomalous pixels of *mask*, bool ``[H, W]``.

    A pixel is anomalous if its value is above half of the largest one in the mask, so that soft
    edges and JPEG noise do not count. In masks of numbers, not shades, every value but 0 counts:
    masks without any value above 31, and palettes of colours.

    * Of several channels the largest value counts; alpha is ignored.
    * A palette of greys is read as greys; of other colours, or of a single one, as indices.
    * In lossy formats (JPEG, WebP, JPEG 2000) values up to 32 are noise.

    Args:
        mask: An image of any mode, or an array ``[H, W]`` or ``[H, W, C]`` of booleans or
            numbers from 0 up.
    """
    import numpy as np

    if isinstance(mask, np.ndarray):
        return _above(np.asarray(mask), lossy=False)
    if mask.mode in ("P", "PA"):
        return _in_palette(mask)
    values = np.asarray(mask)
    if mask.mode in _ALPHA_MODES:
        values = values[..., :-1]
    return _above(values, lossy=getattr(mask, "format", None) in _LOSSY)


def _above(values: NDArray[Any], *, lossy: bool) -> NDArray[np.bool_]:
    import numpy as np

    shades: NDArray[Any] = values if values.ndim == 2 else values.max(axis=2)
    if shades.dtype == np.bool_:
        return shades.astype(np.bool_)
    largest = float(shades.max(initial=0))
    if lossy:
        threshold = max(largest, _SMALLEST_LOSSY) / 2
    elif largest <= _LARGEST_CODE and np.issubdtype(shades.dtype, np.integer):
        threshold = 0.0
    else:
        threshold = largest / 2
    marked: NDArray[np.bool_] = shades > threshold
    return marked


def _in_palette(mask: Image.Image) -> NDArray[np.bool_]:
    import numpy as np

    indices = np.asarray(mask if mask.mode == "P" else mask.getchannel(0))
    colours = np.asarray(mask.convert("RGB")).reshape(-1, 3)
    grey = bool((colours == colours[:, :1]).all())
    if not grey or bool((colours == colours[0]).all()):
        other: NDArray[np.bool_] = indices != 0
        return other
    return _above(colours[:, 0].reshape(indices.shape), lossy=False)
