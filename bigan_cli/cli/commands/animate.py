"""``bigan animate``: animates a run epoch by epoch, or a walk through its latent space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli import completion
from bigan_cli.cli.options import DeviceOption, JsonOption, PluginOption, RunOption, setting_option
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def animate(
    ctx: typer.Context,
    mode: Annotated[
        str,
        typer.Option(
            help="single: pictures of one folder; multi: of several side by side; latent: a walk "
            "through the latent space; scores: histograms of the test images' scores; heatmaps: "
            "of test images.",
            metavar="MODE",
            autocompletion=completion.words("single", "multi", "latent", "scores", "heatmaps"),
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
            help="Output file; .gif, .webp or, with ffmpeg, .mp4. "
            "[default: animation.gif, or MODE_animation.gif, in the run]",
            metavar="FILE",
        ),
    ] = None,
    still: Annotated[
        Path | None, typer.Option(help="Write the last frame, too; .png.", metavar="FILE")
    ] = None,
    fps: Annotated[float, typer.Option(help="Epochs shown per second.")] = 2.0,
    scale: Annotated[
        float | None,
        typer.Option(
            help="Factor by which pictures are enlarged. [default: 1, or less where frames would "
            "be large]"
        ),
    ] = None,
    between: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Two images to walk between in mode latent. [default: along the principal "
            "directions of normal images]",
            metavar="FILE FILE",
        ),
    ] = None,
    data_root: Annotated[Path | None, setting_option("data.root", default="as in training")] = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --output and --still where they exist.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Animate a run from epoch to epoch, or a walk through its latent space.

    Epochs are in numerical order. Their number is read from the file names: the number after
    'epoch', else the first one (epoch-0010.png, 10.png, fake_10_3.png). In multi mode a folder
    without a picture of an epoch keeps showing its latest one. The last frame is shown a second
    longer. Without --output the run's animation is replaced.

    The modes latent, scores and heatmaps load models: of every epoch that has a model file, and in
    mode latent the best one.
    """
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.formatting import count, human_size
    from bigan_cli.workflows.animate import animate as make_animation

    terminal: Terminal = ctx.obj
    if mode in ("latent", "scores", "heatmaps"):
        terminal.announce(LOADING)
    with progress_callbacks(terminal) as callbacks:
        result = make_animation(
            run=run,
            mode=mode,
            dirs=dirs or (),
            image_dir=image_dir,
            output=output,
            still=still,
            fps=fps,
            scale=scale,
            between=between,
            data_root=data_root,
            device=device,
            plugins=plugin or (),
            overwrite=overwrite,
            callbacks=callbacks,
        )
    terminal.note(
        f"{count(result.frames, 'frame')} of {result.height}x{result.width} pixels, "
        f"{result.seconds:.1f}s, {human_size(result.size)}"
    )
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.result(str(result.output))
