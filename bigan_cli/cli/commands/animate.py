"""``bigan animate``: the pictures of a run, epoch by epoch, as an animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli import completion
from bigan_cli.cli.options import JsonOption, RunOption
from bigan_cli.errors import DataError, UsageError, did_you_mean

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.report.epoch_folders import PictureFolder
    from bigan_cli.report.frames import FrameSequence
    from bigan_cli.storage.run_directory import RunDirectory

_MODES = ("single", "multi")
_SCALES = (0.1, 8.0)


def animate(
    ctx: typer.Context,
    mode: Annotated[
        str,
        typer.Option(
            help="single: one folder; multi: several, side by side.",
            metavar="MODE",
            autocompletion=completion.words(*_MODES),
        ),
    ] = "single",
    run: RunOption = Path("results"),
    dirs: Annotated[
        list[str] | None,
        typer.Option(
            "--dirs",
            help="Folder of the run's reconstruction folder, or any other; repeatable. "
            "[single: comparison; multi: comparison, fake and true]",
            metavar="NAME",
        ),
    ] = None,
    image_dir: Annotated[
        Path | None,
        typer.Option(help="Any folder of epoch-numbered images, instead.", metavar="DIR"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write; .gif, .webp or, with PyAV installed, .mp4. "
            "[animation.gif or multi_animation.gif in the run]",
            metavar="FILE",
        ),
    ] = None,
    fps: Annotated[float, typer.Option(help="Epochs shown per second.")] = 2.0,
    scale: Annotated[
        float | None, typer.Option(help="Enlarge (or, below 1, reduce) the images. [default: 1]")
    ] = None,
    dpi: Annotated[
        float | None, typer.Option(help="The same as --scale, in per cent. [default: 100]")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --output where it exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Animate how the pictures of a run changed from epoch to epoch.

    Epochs come in numerical order. Their number is read from the file names: the number after
    'epoch', else the first one (epoch-0010.png, 10.png, fake_10_3.png). In multi mode a folder
    without a picture of an epoch keeps showing its latest one. The last frame is held a second
    longer. Without --output the file is replaced each time.
    """
    from bigan_cli.report.animation import check_request, save_animation
    from bigan_cli.report.epoch_folders import find_pictures
    from bigan_cli.report.frames import FrameSequence
    from bigan_cli.storage.run_directory import RunDirectory

    terminal: Terminal = ctx.obj
    if mode not in _MODES:
        raise UsageError(
            f"unknown mode '{mode}'", did_you_mean(mode, _MODES) or "it is single or multi"
        )
    factor = _factor(scale, dpi)
    target = RunDirectory(run)
    folders = _folders(target, mode, dirs or [], image_dir)
    if output is None:
        output = target.animation_file if mode == "single" else target.multi_animation_file
    else:
        _check_free(output, overwrite)
    check_request(output, fps)
    found = [find_pictures(path, name, leave_out=output) for name, path in folders]
    for folder in found:
        terminal.note(_summary(folder))
    film = FrameSequence(found, factor)
    if len(film) == 1:
        terminal.warn("there is one epoch only, so nothing will move")
    seconds = save_animation(output, film, fps)
    _tell(terminal, output, film, found, seconds, as_json=as_json)


def _factor(scale: float | None, dpi: float | None) -> float:
    if scale is not None and dpi is not None:
        raise UsageError("--scale and --dpi say the same", "give one of them")
    factor = scale if scale is not None else 1.0 if dpi is None else dpi / 100
    low, high = _SCALES
    if not low <= factor <= high:
        given = f"--scale {scale:g}" if scale is not None else f"--dpi {dpi:g}"
        raise UsageError(
            f"{given} is out of range",
            f"--scale is from {low:g} to {high:g}, --dpi from {100 * low:g} to {100 * high:g}",
        )
    return factor


def _folders(
    run: RunDirectory, mode: str, dirs: list[str], image_dir: Path | None
) -> list[tuple[str | None, Path]]:
    """Return name and path of each folder to show; a name of None is the folder's own."""
    if image_dir is not None:
        if mode == "multi" or dirs:
            raise UsageError(
                "--image-dir shows that one folder only",
                "to show several, use --mode multi and --dirs DIR for each",
            )
        return [(None, image_dir)]
    if mode == "single" and len(dirs) > 1:
        raise UsageError("a single animation shows one folder", "use --mode multi")
    if dirs:
        return [_named(run, name) for name in dirs]
    usual = [run.comparison] if mode == "single" else [run.comparison, run.fake, run.true]
    there = [path for path in usual if path.is_dir() and any(path.iterdir())]
    if not there:
        run.open(run.path)
        raise DataError(
            f"no pictures in {usual[0]} yet",
            "'bigan train' saves them every --save-interval epochs",
        )
    return [(path.name, path) for path in there]


def _named(run: RunDirectory, name: str) -> tuple[str | None, Path]:
    plain = Path(name).name == name
    if plain and (run.reconstruction / name).is_dir():
        return name, run.reconstruction / name
    if Path(name).is_dir():
        return None, Path(name)
    if not plain:
        raise DataError(f"the image folder {name} does not exist")
    from bigan_cli.image_files import subfolders

    run.open(run.path)
    known = [p.name for p in subfolders(run.reconstruction)] if run.reconstruction.is_dir() else []
    raise UsageError(
        f"no folder '{name}' in {run.reconstruction}",
        did_you_mean(name, known) or f"there are: {', '.join(known) or 'none'}",
    )


def _check_free(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "--output names a file")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists", "pass --overwrite, or another --output")


def _summary(folder: PictureFolder) -> str:
    from bigan_cli.formatting import count

    first, last = min(folder.pictures), max(folder.pictures)
    epochs = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    text = f"{folder.name}: {count(len(folder.pictures), 'picture')}, {epochs}"
    if folder.superseded:
        text += f"; left out {folder.superseded:,} of epochs that have several"
    if folder.unnumbered:
        text += f"; left out {folder.unnumbered:,} without a number"
    return text


def _tell(
    terminal: Terminal,
    output: Path,
    film: FrameSequence,
    folders: list[PictureFolder],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    from bigan_cli.formatting import count, human_size

    size = output.stat().st_size
    width, height = film.size
    frames = count(len(film), "frame")
    terminal.note(f"{frames} of {width}x{height} pixels, {seconds:.1f}s, {human_size(size)}")
    if not as_json:
        terminal.result(str(output))
        return
    terminal.json(
        {
            "output": output,
            "epochs": film.epochs,
            "folders": [
                {"name": f.name, "path": f.path, "epochs": list(f.pictures)} for f in folders
            ],
            "width": width,
            "height": height,
            "seconds": seconds,
            "bytes": size,
        }
    )
