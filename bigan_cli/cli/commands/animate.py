"""``bigan animate``: animates the pictures of a run, epoch by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli import completion
from bigan_cli.cli.options import JsonOption, RunOption

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def animate(
    ctx: typer.Context,
    mode: Annotated[
        str,
        typer.Option(
            help="single: one folder; multi: several side by side.",
            metavar="MODE",
            autocompletion=completion.words("single", "multi"),
        ),
    ] = "single",
    run: RunOption = Path("results"),
    dirs: Annotated[
        list[str] | None,
        typer.Option(
            "--dirs",
            help="Subfolder of the run's reconstruction folder, or any folder. Repeatable. "
            "[default: comparison; in multi mode comparison, fake and true]",
            metavar="NAME",
        ),
    ] = None,
    image_dir: Annotated[
        Path | None,
        typer.Option(help="A folder of epoch-numbered images, in place of --dirs.", metavar="DIR"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Output file; .gif, .webp or, with PyAV installed, .mp4. "
            "[default: animation.gif or multi_animation.gif in the run]",
            metavar="FILE",
        ),
    ] = None,
    fps: Annotated[float, typer.Option(help="Epochs shown per second.")] = 2.0,
    scale: Annotated[float, typer.Option(help="Factor by which pictures are enlarged.")] = 1.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --output where it exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Animate the image grids of a run from epoch to epoch.

    Epochs are in numerical order. Their number is read from the file names: the number after
    'epoch', else the first one (epoch-0010.png, 10.png, fake_10_3.png). In multi mode a folder
    without a picture of an epoch keeps showing its latest one. The last frame is shown a second
    longer. Without --output the run's animation is replaced.
    """
    from bigan_cli.cli.callbacks import plain_callbacks
    from bigan_cli.formatting import count, human_size
    from bigan_cli.workflows.animate import animate as make_animation

    terminal: Terminal = ctx.obj
    result = make_animation(
        run=run,
        mode=mode,
        dirs=dirs or (),
        image_dir=image_dir,
        output=output,
        fps=fps,
        scale=scale,
        overwrite=overwrite,
        callbacks=plain_callbacks(terminal),
    )
    terminal.note(
        f"{count(len(result.epochs), 'frame')} of {result.width}x{result.height} pixels, "
        f"{result.seconds:.1f}s, {human_size(result.size)}"
    )
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.result(str(result.output))
