"""Checks a folder of images before training: what should not be learned as normal."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.atomic import write_text
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import SourceFormat, read_with_format
from bigan_cli.data.exclude import read_marks
from bigan_cli.data.leakage import content_digests
from bigan_cli.data.unreadable import why_unreadable
from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import spreadsheet_path
from bigan_cli.image_files import UnlistableFolder, walk_all
from bigan_cli.missing_paths import require_folder
from bigan_cli.workflows.callbacks import Callbacks

if TYPE_CHECKING:
    from torch import Tensor

_TABLE, _SHEET = "images.csv", "strangest.png"
# What the images are compared at.
_SIDE = 192
# Sizes or channels that this share of the images has are the usual ones.
_USUAL_SHARE = 0.8
_ON_THE_SHEET = 48
# Whose pretrained features the images are compared by.
_ARCHITECTURE = "features"
_BATCH = 16


@dataclass(frozen=True)
class CheckedImage:
    """One image of a checked folder; the fields are the columns of ``images.csv``.

    Attributes:
        path: Relative to the folder.
        exclude: For the user to fill in; kept when the folder is checked again.
        issue: What is wrong or odd; empty where nothing is.
        like: The image that it is a copy of, or nearly; empty otherwise.
        strangeness: How unlike the others it is, 1 being ordinary; None where unreadable.
        width: In pixels; None where unreadable.
        height: In pixels; None where unreadable.
        channels: 1 grey, 3 colour, 4 with transparency; None where unreadable.
    """

    path: str
    exclude: str = ""
    issue: str = ""
    like: str = ""
    strangeness: float | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None


@dataclass(frozen=True)
class DataCheck:
    """What a check found.

    Attributes:
        folder: What was checked.
        images: The unreadable ones first, then the strangest first.
        files: What was written.
    """

    folder: Path
    images: tuple[CheckedImage, ...]
    files: tuple[Path, ...]

    @property
    def issues(self) -> tuple[CheckedImage, ...]:
        """The images with an issue."""
        return tuple(image for image in self.images if image.issue)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "folder": str(self.folder),
            "images": [asdict(image) for image in self.images],
            "files": [str(file) for file in self.files],
        }


def check_folder(folder: Path, output: Path | None, callbacks: Callbacks) -> DataCheck:
    """Look at all images below *folder*, without any training.

    Args:
        folder: With images of normal parts, and perhaps others.
        output: Where to write ``images.csv`` and ``strangest.png``; None to write nothing.
        callbacks: Receive progress.

    Raises:
        DataError: There are fewer than two images that can be read.
        UsageError: There is no such folder; or *output* is inside *folder*, or holds other files
            of the same names.
    """
    require_folder(folder)
    if output is not None and output.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"the output folder {output} is inside {folder}",
            "its picture would be taken for one of the images; name a folder elsewhere",
        )
    marks = {} if output is None else _marks(output)
    found = list(walk_all(folder))
    paths = [each for each in found if isinstance(each, Path)]
    pixels, formats, unreadable = _read(paths, callbacks)
    unreadable |= {each.path: each.reason for each in found if isinstance(each, UnlistableFolder)}
    readable = [path for path in paths if path in formats]
    if len(readable) < 2:
        raise DataError(f"{folder} has {len(readable)} images that can be read; at least 2 needed")
    names = [path.relative_to(folder).as_posix() for path in readable]
    checked = _compared(pixels, names, [formats[path] for path in readable], callbacks)
    order = sorted(range(len(checked)), key=lambda i: -(checked[i].strangeness or 0))
    bad = [
        CheckedImage(path.relative_to(folder).as_posix(), issue=f"unreadable: {why}")
        for path, why in unreadable.items()
    ]
    images = tuple(
        replace(image, exclude=marks.get(spreadsheet_path(image.path), ""))
        for image in (*bad, *(checked[i] for i in order))
    )
    files: tuple[Path, ...] = ()
    if output is not None:
        files = _write(output, images, pixels[order[:_ON_THE_SHEET]])
    return DataCheck(folder, images, files)


def _marks(output: Path) -> dict[str, str]:
    """Return path -> what the user wrote into the column ``exclude`` of an earlier check.

    Raises:
        UsageError: *output* holds files that are not of a check.
    """
    table, sheet = output / _TABLE, output / _SHEET
    if table.exists():
        try:
            return read_marks(table)
        except DataError as error:
            raise UsageError(
                f"{error.message}: it is not replaced", "name another folder"
            ) from error
    if sheet.exists():
        raise UsageError(
            f"{sheet} exists, without {_TABLE}: it is not replaced", "name another folder"
        )
    return {}


def _read(
    paths: Sequence[Path], callbacks: Callbacks
) -> tuple[NDArray[np.uint8], dict[Path, SourceFormat], dict[Path, str]]:
    """Return the readable images uint8 ``[N, 3, S, S]``, their formats, and why others are not."""
    pixels, formats, unreadable = [], {}, {}
    for done, path in enumerate(paths, 1):
        try:
            image, formats[path] = read_with_format(path, ImageShape(3, _SIDE, _SIDE))
            pixels.append(image)
        except Exception as error:  # noqa: BLE001  whatever a decoder raises
            unreadable[path] = why_unreadable(error)
        callbacks.on_progress("reading images", done, len(paths))
    shape = (0, 3, _SIDE, _SIDE)
    return np.stack(pixels) if pixels else np.empty(shape, np.uint8), formats, unreadable


def _compared(
    pixels: NDArray[np.uint8],
    names: Sequence[str],
    formats: Sequence[SourceFormat],
    callbacks: Callbacks,
) -> list[CheckedImage]:
    from bigan_cli.scoring.folder_outliers import strangeness

    found = strangeness(_pooled_features(pixels, callbacks))
    digests = content_digests(pixels)
    sizes = Counter((each.width, each.height) for each in formats)
    channels = Counter(each.channels for each in formats)
    checked = []
    for i, (name, source) in enumerate(zip(names, formats, strict=True)):
        issues, like = [], ""
        first = digests.index(digests[i])
        if first < i:
            issues.append("copy")
            like = names[first]
        elif found.near_copy[i] and found.nearest[i] < i:
            issues.append("nearly a copy")
            like = names[found.nearest[i]]
        usual_size = _usual(sizes)
        if usual_size not in (None, (source.width, source.height)):
            issues.append(f"{source.height}x{source.width} pixels")
        if _usual(channels) not in (None, source.channels):
            issues.append(f"{source.channels} channels")
        checked.append(
            CheckedImage(
                name,
                issue=", ".join(issues),
                like=like,
                strangeness=round(float(found.score[i]), 3),
                width=source.width,
                height=source.height,
                channels=source.channels,
            )
        )
    return checked


def _usual(counts: Counter[Any]) -> Any:
    """Return the value that most images have; None where they are mixed."""
    value, number = counts.most_common(1)[0]
    return value if number >= _USUAL_SHARE * counts.total() else None


def _pooled_features(pixels: NDArray[np.uint8], callbacks: Callbacks) -> NDArray[np.float32]:
    """Return features of a pretrained network, averaged over each image, float32 ``[N, K]``."""
    import torch

    from bigan_cli.config.schema import ModelConfig
    from bigan_cli.model.feature_extraction import one_at_a_time
    from bigan_cli.model.networks import to_model_range
    from bigan_cli.plugins import load_registry
    from bigan_cli.plugins.instances import make_architecture

    shape = ImageShape(3, _SIDE, _SIDE)
    architecture = make_architecture(load_registry(), ModelConfig(architecture=_ARCHITECTURE))
    extractor: Any = architecture.feature_extractor(shape, pretrained=True)
    extractor.eval()
    rows: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(pixels), _BATCH):
            batch = to_model_range(torch.from_numpy(pixels[start : start + _BATCH]))
            rows.append(one_at_a_time(extractor.raw, batch).mean(dim=(2, 3)))
            callbacks.on_progress("computing features", start + len(batch), len(pixels))
    vectors: NDArray[np.float32] = torch.cat(rows).numpy()
    return vectors


def _write(
    output: Path, images: Sequence[CheckedImage], strangest: NDArray[np.uint8]
) -> tuple[Path, ...]:
    from bigan_cli.report.grids import sample_grid

    output.mkdir(parents=True, exist_ok=True)
    table, sheet = output / _TABLE, output / _SHEET
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(
        stream, [field.name for field in fields(CheckedImage)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(asdict(image) | {"path": spreadsheet_path(image.path)} for image in images)
    write_text(table, stream.getvalue())
    sample_grid(sheet, strangest, "the strangest images, row by row, in the order of images.csv")
    return table, sheet
