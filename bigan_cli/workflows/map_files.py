"""Files of heatmaps: one per scored image, in folders like those of the inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.atomic import remove_stale_temporaries
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import read_source
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.sources.find import Input
from bigan_cli.data.sources.image_source import ImageSource
from bigan_cli.errors import UsageError
from bigan_cli.locations.location import locate
from bigan_cli.report.drawing import to_rgb
from bigan_cli.report.heatmap import dimmed, write_array, write_mask, write_overlay, write_png16
from bigan_cli.scoring.regions import Region, anomalous_pixels

MAP_FORMATS = ("overlay", "png16", "npy")

# Where the maps of listed images outside the current folder go.
_ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class MapFiles:
    """Where heatmaps and masks of images are written, each whole or not at all.

    The path of an image below *base* is repeated below the output folder, and the suffix of the
    format is added to its whole name, so that ``a.png`` and ``a.jpg`` differ: the map of
    ``BASE/line1/a.jpg`` is ``MAPS/line1/a.jpg.png``.

    Attributes:
        maps: The folder of the heatmaps, or None.
        map_format: ``overlay``, ``png16`` or ``npy``.
        masks: The folder of the masks, or None.
        base: The folder that the paths of images are relative to.
    """

    maps: Path | None
    map_format: str
    masks: Path | None
    base: Path

    def as_dict(self) -> dict[str, str | None]:
        """Return what is written, and where, as plain values."""
        return {
            "maps": None if self.maps is None else str(self.maps.absolute()),
            "map_format": None if self.maps is None else self.map_format,
            "masks": None if self.masks is None else str(self.masks.absolute()),
        }

    def create_folders(self) -> None:
        """Create the output folders, and remove temporary files that killed processes left.

        Raises:
            OSError: A folder cannot be created.
        """
        for folder in (self.maps, self.masks):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                for each in (folder, *folder.glob("**/")):
                    remove_stale_temporaries(each)

    def write(
        self,
        source: ImageSource,
        heat: NDArray[np.float32],
        regions: Sequence[Region],
        options: DecodeOptions,
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write the files of one image.

        Args:
            source: The image.
            heat: float32 ``[H, W]`` at the image's own size.
            regions: The regions of the heatmap.
            options: How the image is read, for an overlay.
            inside: The region of interest, bool ``[H, W]``, or None; an overlay dims the rest.

        Raises:
            UnreadableImage: The image cannot be read any more.
            OSError: A file cannot be written.
        """
        if self.maps is not None:
            self._write_map(self.maps, source, heat, regions, options, inside)
        if self.masks is not None:
            write_mask(self._path(self.masks, source, ".png"), anomalous_pixels(heat))

    def _write_map(
        self,
        folder: Path,
        source: ImageSource,
        heat: NDArray[np.float32],
        regions: Sequence[Region],
        options: DecodeOptions,
        inside: NDArray[np.bool_] | None,
    ) -> None:
        if self.map_format == "npy":
            write_array(self._path(folder, source, ".npy"), heat)
        elif self.map_format == "png16":
            write_png16(self._path(folder, source, ".png"), heat)
        else:
            # Again, since the networks' copy is smaller.
            pixels, _ = read_source(source, ImageShape(3, *heat.shape), options)
            image = dimmed(to_rgb(pixels), inside)
            write_overlay(self._path(folder, source, ".png"), image, heat, regions)

    def _path(self, folder: Path, source: ImageSource, suffix: str) -> Path:
        relative = self._relative(source)
        return folder / relative.with_name(relative.name + suffix)

    def _relative(self, source: ImageSource) -> Path:
        if not isinstance(source, Path):
            return Path(_ELSEWHERE, *_parts_of_url(str(source)))
        absolute = _absolute(source)
        if absolute.is_relative_to(self.base):
            return absolute.relative_to(self.base)
        return Path(_ELSEWHERE, *absolute.parts[1:])


def map_files(
    inputs: Iterable[Input],
    maps: Path | None,
    map_format: str | None,
    masks: Path | None,
) -> MapFiles | None:
    """Return where the heatmaps of *inputs* are written, or None if none are wanted.

    Args:
        inputs: Files and folders. The paths of images are repeated from the innermost folder
            that holds all of them, or from the current folder if *inputs* is an iterator.
        maps: The folder of the heatmaps, or None.
        map_format: ``overlay``, ``png16`` or ``npy``; by default ``overlay``.
        masks: The folder of the masks, or None.

    Raises:
        UsageError: The arguments contradict each other, or an output folder is among the inputs.
    """
    if map_format is not None and map_format not in MAP_FORMATS:
        raise UsageError(f"no map format {map_format}", f"there are {', '.join(MAP_FORMATS)}")
    if maps is None and map_format is not None:
        raise UsageError("a map format without a folder for maps", "pass 'maps=DIR' too")
    if maps is None and masks is None:
        return None
    folders = [folder for folder in (maps, masks) if folder is not None]
    if len({_absolute(folder) for folder in folders}) < len(folders):
        raise UsageError("maps and masks go to the same folder", "name two folders")
    base = Path.cwd()
    if isinstance(inputs, Sequence):
        located = [locate(item) for item in inputs]
        paths = [_absolute(each) for each in located if isinstance(each, Path)]
        for folder in folders:
            for path in paths:
                if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
                    raise UsageError(
                        f"the output folder {folder} is inside the input folder {path}",
                        "its files would be taken for inputs; name a folder elsewhere",
                    )
        base = _common_folder(paths)
    return MapFiles(maps, map_format or "overlay", masks, base)


def _parts_of_url(url: str) -> list[str]:
    """Return the parts of a path for a URL: that of an archive before those of its member.

    Those that could lead out of a folder are left out.
    """
    paths = [each.rpartition("://")[2] for each in reversed(url.split("::"))]
    parts = [part for path in paths for part in re.split(r"[/\\:]", path)]
    return [part for part in parts if part not in ("", ".", "..")] or ["image"]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  follows no links


def _common_folder(paths: Sequence[Path]) -> Path:
    """Return the innermost folder that holds all *paths*; a folder holds itself."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # no paths, or on several drives
        return Path.cwd()
