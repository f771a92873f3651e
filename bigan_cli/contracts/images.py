"""Images as datasets give them, and the shape of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    RawImage: TypeAlias = Path | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.uint16]
    Mask: TypeAlias = Path | Image.Image | NDArray[np.bool_] | NDArray[np.uint8]

SMALLEST_SIDE = 8
CHANNELS = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class ImageShape:
    """Channels, height and width of one image, in that order."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"
