"""The images of a split, decoded when they are indexed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import datasets
from PIL import Image

from bigan_cli.errors import DataError

if TYPE_CHECKING:
    Picture = Path | Image.Image

# Named, so that no image starts another program: Pillow's reader of EPS runs Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "JPEG2000")


class Pictures(Sequence["Picture"]):
    """A column of images: a path for a file on this machine, else a PIL image.

    Args:
        rows: The split.
        column: Of images, or of their encoded bytes.
        split: Its name, for messages.
    """

    def __init__(self, rows: datasets.Dataset, column: str, split: str) -> None:
        cells = rows.select_columns([column])
        self._cells = cells.cast_column(column, datasets.Image(decode=False))
        self._column = column
        self._split = split

    def __len__(self) -> int:
        return len(self._cells)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> list[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | list[Picture]:
        """Return an image, its pixels not yet decoded.

        Raises:
            DataError: There is none, or its bytes are not an image.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        cell: dict[str, Any] | None = self._cells[index][self._column]
        path = cell and cell.get("path")
        encoded = cell and cell.get("bytes")
        try:
            if encoded:
                return Image.open(io.BytesIO(encoded), formats=_FORMATS)
            if path and "://" not in path:
                return Path(path)
            if path:  # within an archive or on the hub
                remote: Image.Image = datasets.Image().decode_example(cell)
                return remote
        except Exception as error:  # damaged bytes make Pillow raise nearly anything
            raise self._unreadable(index, "not an image in a known format") from error
        raise self._unreadable(index, "it is empty")

    def _unreadable(self, index: int, reason: str) -> DataError:
        return DataError(f"cannot read image {index} of the {self._split} split: {reason}")
