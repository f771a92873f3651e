"""libtiff writes to the process's stderr what it finds wrong; the reason is reported anyway."""

from __future__ import annotations

import ctypes
import logging
from contextlib import suppress
from functools import cache
from pathlib import Path

import PIL


@cache
def silence() -> None:
    """Keep the messages of Pillow's libtiff, and those of tifffile, off the screen.

    A libtiff that is not part of Pillow's wheel is not changed.
    """
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    package = Path(PIL.__file__).parent
    for folder in (package.parent / "pillow.libs", package / ".dylibs"):
        for library in folder.glob("libtiff*"):
            with suppress(OSError, AttributeError):
                loaded = ctypes.CDLL(str(library))
                loaded.TIFFSetErrorHandler(None)
                loaded.TIFFSetWarningHandler(None)
