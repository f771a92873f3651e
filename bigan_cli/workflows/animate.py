"""Animation of a run's pictures, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.errors import DataError, UsageError, did_you_mean
from bigan_cli.formatting import count
from bigan_cli.image_files import subfolders
from bigan_cli.report.animation import check_request, save_animation
from bigan_cli.report.epoch_folders import PictureFolder, find_pictures
from bigan_cli.report.frames import FrameSequence
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks

MODES = ("single", "multi")
_SMALLEST, _LARGEST = 0.1, 8.0


@dataclass(frozen=True)
class AnimationResult:
    """The animation that was written.

    Attributes:
        output: The file.
        epochs: The epoch of each frame.
        folders: The folders with the pictures, in the order of the panels.
        width: In pixels.
        height: In pixels.
        seconds: The duration.
        size: The size of the file in bytes.
    """

    output: Path
    epochs: tuple[int, ...]
    folders: tuple[PictureFolder, ...]
    width: int
    height: int
    seconds: float
    size: int

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "output": self.output,
            "epochs": list(self.epochs),
            "folders": [
                {"name": f.name, "path": f.path, "epochs": list(f.pictures)} for f in self.folders
            ],
            "width": self.width,
            "height": self.height,
            "seconds": self.seconds,
            "bytes": self.size,
        }


def animate(
    *,
    run: Path,
    mode: str = "single",
    dirs: Sequence[str] = (),
    image_dir: Path | None = None,
    output: Path | None = None,
    fps: float = 2.0,
    scale: float = 1.0,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
) -> AnimationResult:
    """Write an animation of epoch-numbered pictures.

    Args:
        run: The run directory.
        mode: ``single`` for one folder, ``multi`` for several side by side.
        dirs: Folders, each by its name below the run's reconstruction folder or by its path; by
            default ``comparison``, and in multi mode ``fake`` and ``true`` too.
        image_dir: A single folder, in place of *dirs*.
        output: The file to write, .gif, .webp or .mp4; by default a file of the run, which is
            replaced.
        fps: Epochs shown per second.
        scale: Factor by which the pictures are enlarged.
        overwrite: Whether *output* may be replaced.
        callbacks: Receive a note about each folder.

    Raises:
        UsageError: An argument is out of range, *output* exists, or there is no such folder.
        DataError: There are no pictures, or one of them is damaged.
    """
    callbacks = callbacks or Callbacks()
    if mode not in MODES:
        raise UsageError(
            f"unknown mode '{mode}'", did_you_mean(mode, MODES) or "it is single or multi"
        )
    if not _SMALLEST <= scale <= _LARGEST:
        raise UsageError(
            f"'scale={scale:g}' is out of range", f"it is from {_SMALLEST:g} to {_LARGEST:g}"
        )
    directory = RunDirectory(run)
    folders = _folders(directory, mode, dirs, image_dir)
    of_run = output is None
    if output is None:
        output = directory.animation_file if mode == "single" else directory.multi_animation_file
    else:
        _check_free(output, overwrite=overwrite)
    check_request(output, fps)
    if of_run and directory.run_file.exists():
        directory.claim(output)
    found = [find_pictures(path, name, leave_out=output) for name, path in folders]
    for folder in found:
        callbacks.note(_summary(folder))
    frames = FrameSequence(found, scale)
    if len(frames) == 1:
        callbacks.warn("there is only one epoch, so nothing moves")
    seconds = save_animation(output, frames, fps)
    width, height = frames.size
    return AnimationResult(
        output=output,
        epochs=tuple(frames.epochs),
        folders=tuple(found),
        width=width,
        height=height,
        seconds=seconds,
        size=output.stat().st_size,
    )


def _folders(
    run: RunDirectory, mode: str, dirs: Sequence[str], image_dir: Path | None
) -> list[tuple[str | None, Path]]:
    """Return name and path of each folder to show; None is the folder's own name."""
    if image_dir is not None:
        if mode == "multi" or dirs:
            raise UsageError(
                f"'image_dir={image_dir}' shows that one folder only",
                "to show several, use 'mode=multi' and 'dirs=FOLDER' for each",
            )
        return [(None, image_dir)]
    if mode == "single" and len(dirs) > 1:
        raise UsageError("a single animation shows one folder", "use 'mode=multi'")
    if dirs:
        return [_named(run, name) for name in dirs]
    usual = [run.comparison] if mode == "single" else [run.comparison, run.fake, run.true]
    existing = [path for path in usual if path.is_dir() and any(path.iterdir())]
    if not existing:
        run.open(run.path)
        raise DataError(
            f"no pictures in {usual[0]} yet",
            "training saves them at the intervals of 'output.save_interval'",
        )
    return [(path.name, path) for path in existing]


def _named(run: RunDirectory, name: str) -> tuple[str | None, Path]:
    plain = Path(name).name == name
    if plain and (run.reconstruction / name).is_dir():
        return name, run.reconstruction / name
    if Path(name).is_dir():
        return None, Path(name)
    if not plain:
        raise DataError(f"the image folder {name} does not exist")
    run.open(run.path)
    known = [p.name for p in subfolders(run.reconstruction)] if run.reconstruction.is_dir() else []
    raise UsageError(
        f"no folder '{name}' in {run.reconstruction}",
        did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}",
    )


def _check_free(output: Path, *, overwrite: bool) -> None:
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "the output is a file")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists", "pass 'overwrite=True', or another 'output=FILE'")


def _summary(folder: PictureFolder) -> str:
    first, last = min(folder.pictures), max(folder.pictures)
    epochs = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    text = f"{folder.name}: {count(len(folder.pictures), 'picture')}, {epochs}"
    if folder.superseded:
        text += f"; left out {folder.superseded:,} of epochs that have several"
    if folder.unnumbered:
        text += f"; left out {folder.unnumbered:,} without a number"
    return text
