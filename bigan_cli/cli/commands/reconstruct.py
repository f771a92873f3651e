"""``bigan reconstruct``: draws images and their reconstructions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    PluginOption,
    RunOption,
    setting_option,
)
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def reconstruct(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files or folders. [default: test images of the run]", metavar="PATH"
        ),
    ] = None,
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    number: Annotated[
        int, typer.Option("--number", "-n", help="Number of images to show.", min=1, max=256)
    ] = 16,
    seed: Annotated[int, typer.Option(help="Seed that selects the test images.", min=0)] = 0,
    data_root: Annotated[
        Path | None,
        setting_option("data.root", default="as in training"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Output file, .png. [default: reconstruction/reconstruct.png in the run]",
            metavar="FILE",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --output where it exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show images next to their reconstructions, the differences and the heatmaps.

    Half of the test images shown are normal and half are anomalies, where there are enough. Of
    given files, the first that can be read are shown.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.errors import SomeInputsSkipped
    from bigan_cli.formatting import count
    from bigan_cli.workflows.reconstruct import reconstruct as draw

    with progress_callbacks(terminal) as callbacks:
        result = draw(
            paths or (),
            run=run,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            number=number,
            seed=seed,
            data_root=data_root,
            output=output,
            overwrite=overwrite,
            callbacks=callbacks,
        )
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.result(str(result.path))
    terminal.note(f"{count(len(result.images), 'image')} by {result.model}")
    if result.decoded:
        terminal.note(
            "reconstructions are drawn by a decoder for pictures, which plays no part in the "
            "score; see the heatmap for where an image is anomalous"
        )
    if result.truncated:
        terminal.note(f"note: only the first {number} images are shown; -n shows more, up to 256")
    if result.skipped:
        raise SomeInputsSkipped(f"{count(result.skipped, 'input')} could not be read")
