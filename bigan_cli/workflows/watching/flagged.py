"""Copies of flagged images in a folder of their own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.atomic import atomic_write, remove_stale_temporaries
from bigan_cli.storage.score_table import ANOMALY, REVIEW

FLAGGED = (ANOMALY, REVIEW)
"""The labels of images that somebody should look at."""


@dataclass(frozen=True)
class FlaggedFiles:
    """Copies flagged images, in folders like those below *base*, or moves them.

    A kill loses no image: it is copied before its row is written, and removed after.

    Attributes:
        folder: Where to.
        base: The watched folder.
        move: Whether images are removed from there.
    """

    folder: Path
    base: Path
    move: bool

    def create_folder(self) -> None:
        """Create the folder, and remove temporary files that killed processes left.

        Raises:
            OSError: It cannot be created.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for each in (self.folder, *self.folder.glob("**/")):
            remove_stale_temporaries(each)

    def copy(self, image: Path) -> None:
        """Copy an image, whole or not at all.

        Raises:
            OSError: It cannot be read or written.
        """
        target = self._target(image)
        with image.open("rb") as source, atomic_write(target) as stream:
            shutil.copyfileobj(source, stream, 2**20)
        shutil.copystat(image, target)

    def remove(self, image: Path) -> None:
        """Remove an image that has a copy and a row, if images are moved.

        Raises:
            OSError: It cannot be removed.
        """
        if self.move:
            image.unlink(missing_ok=True)

    def finish(self, path: str, label: str) -> None:
        """Move an image that a killed process gave a row, if it is flagged and still there."""
        image = Path(path)
        if self.move and label in FLAGGED and image.is_file():
            self.copy(image)
            self.remove(image)

    def _target(self, image: Path) -> Path:
        return self.folder / image.relative_to(self.base)
