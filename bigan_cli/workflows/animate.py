"""Animations of a run: its pictures epoch by epoch, or what its models show.

Nothing here imports torch; the modes that need models import it when they are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.errors import DataError, UsageError, did_you_mean
from bigan_cli.formatting import count
from bigan_cli.image_files import subfolders
from bigan_cli.missing_paths import missing_path
from bigan_cli.report.animation import (
    Frames,
    check_request,
    check_still,
    save_animation,
    save_still,
)
from bigan_cli.report.epoch_folders import PictureFolder, find_pictures
from bigan_cli.report.frames import FrameSequence
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks

MODES = ("single", "multi", "latent", "scores", "heatmaps")
_OF_PICTURES = MODES[:2]
_SMALLEST, _LARGEST = 0.1, 8.0
# A walk is smooth.
_FRAMES_PER_STEP = 5


@dataclass(frozen=True)
class AnimationResult:
    """The animation that was written.

    Attributes:
        output: The file.
        epochs: The epochs that are shown, in their order.
        frames: The number of frames.
        folders: The folders with the pictures, in the order of the panels; none in modes that
            show what models do.
        width: In pixels.
        height: In pixels.
        still: The file with the last frame; None if none was asked for.
        seconds: The duration.
        size: The size of the file in bytes.
    """

    output: Path
    epochs: tuple[int, ...]
    frames: int
    folders: tuple[PictureFolder, ...]
    width: int
    height: int
    seconds: float
    size: int
    still: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "output": self.output,
            "still": self.still,
            "epochs": list(self.epochs),
            "frames": self.frames,
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
    scale: float | None = None,
    still: Path | None = None,
    between: tuple[Path, Path] | None = None,
    data_root: Path | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
) -> AnimationResult:
    """Write an animation.

    Args:
        run: The run directory.
        mode: ``single`` for the pictures of one folder, ``multi`` for those of several;
            ``latent`` for a walk through the latent space, ``scores`` for the histograms and
            ``heatmaps`` for the heatmaps of test images, by the model of every saved epoch.
        dirs: Folders, each by its name below the run's reconstruction folder or by its path; by
            default ``comparison``, and in multi mode ``fake`` and ``true`` too.
        image_dir: A single folder, in place of *dirs*.
        output: The file to write, .gif, .webp or .mp4; by default a file of the run, which is
            replaced.
        fps: Epochs shown per second; in mode ``latent`` five frames for each.
        scale: Factor by which pictures are enlarged; by default 1, or less where the file would
            be large.
        still: A PNG file for the last frame.
        between: In mode ``latent``, the images where the walk begins and ends; by default it
            follows the principal directions of the normal images' latents.
        data_root: Where the data are now, if they were moved, for modes that need images.
        device: Where models run.
        plugins: Plugin files to run, for modes that need models.
        overwrite: Whether *output* and *still* may be replaced.
        callbacks: Receive a note about each folder, and progress.

    Raises:
        UsageError: An argument is out of range, *output* exists, or there is no such folder.
        DataError: There are no pictures, or one of them is damaged.
    """
    callbacks = callbacks or Callbacks()
    _check_arguments(mode, scale, between)
    directory = RunDirectory(run)
    folders = _folders(directory, mode, dirs, image_dir)
    output = _output_file(directory, mode, output, still, fps, overwrite=overwrite)
    found = [find_pictures(path, name, leave_out=output) for name, path in folders]
    for folder in found:
        callbacks.note(_summary(folder))
    epochs: Sequence[int]
    frames: Frames
    if mode in _OF_PICTURES:
        pictures = FrameSequence.reduced(found) if scale is None else FrameSequence(found, scale)
        epochs, frames = pictures.epochs, pictures
    else:
        from bigan_cli.workflows.animate_models import model_frames

        epochs, frames = model_frames(
            RunDirectory.open(run),
            mode,
            between=between,
            data_root=data_root,
            device=device,
            plugins=plugins,
            scale=scale or 1.0,
            callbacks=callbacks,
        )
    if len(frames) == 1:
        callbacks.warn("there is only one epoch, so nothing moves")
    seconds = save_animation(output, frames, fps * _FRAMES_PER_STEP if mode == "latent" else fps)
    if still is not None:
        save_still(still, frames)
    width, height = frames.size
    return AnimationResult(
        output=output,
        still=still,
        epochs=tuple(epochs),
        frames=len(frames),
        folders=tuple(found),
        width=width,
        height=height,
        seconds=seconds,
        size=output.stat().st_size,
    )


def _check_arguments(mode: str, scale: float | None, between: tuple[Path, Path] | None) -> None:
    """Raise UsageError if there is no such mode, or an argument does not suit it."""
    if mode not in MODES:
        raise UsageError(
            f"unknown mode '{mode}'", did_you_mean(mode, MODES) or f"modes: {', '.join(MODES)}"
        )
    if scale is not None and not _SMALLEST <= scale <= _LARGEST:
        raise UsageError(
            f"'scale={scale:g}' is out of range", f"it is from {_SMALLEST:g} to {_LARGEST:g}"
        )
    if between is not None and mode != "latent":
        raise UsageError("two images are given, and the mode is no walk", "use 'mode=latent'")


def _folders(
    run: RunDirectory, mode: str, dirs: Sequence[str], image_dir: Path | None
) -> list[tuple[str | None, Path]]:
    """Return name and path of each folder to show; None is the folder's own name."""
    if mode not in _OF_PICTURES:
        if dirs or image_dir:
            raise UsageError(f"mode {mode} shows no folders", "use 'mode=single' or 'mode=multi'")
        return []
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
        raise missing_path(Path(name), "folder")
    run.open(run.path)
    known = [p.name for p in subfolders(run.reconstruction)] if run.reconstruction.is_dir() else []
    raise UsageError(
        f"no folder '{name}' in {run.reconstruction}",
        did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}",
    )


def _output_file(
    run: RunDirectory,
    mode: str,
    output: Path | None,
    still: Path | None,
    fps: float,
    *,
    overwrite: bool,
) -> Path:
    """Return the file to write: *output*, or that of the run, which is replaced."""
    for given in filter(None, (output, still)):
        _check_free(given, overwrite=overwrite)
    if still is not None:
        check_still(still)
    file = output or run.animation_of(mode)
    check_request(file, fps)
    if output is None and run.run_file.exists():
        run.claim(file)
    return file


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
