"""``bigan reconstruct``: what the networks make of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    PluginOption,
    RunOption,
    setting_option,
)


def reconstruct(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files or folders; by default test images of the run.", metavar="PATH"
        ),
    ] = None,
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    number: Annotated[
        int, typer.Option("--number", "-n", help="Number of images to show.", min=1, max=256)
    ] = 16,
    seed: Annotated[int, typer.Option(help="Chooses the test images.", min=0)] = 0,
    data_root: Annotated[
        Path | None,
        setting_option("data.root", default="as in training"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The picture, a .png. [RUN/reconstruction/reconstruct.png]", metavar="FILE"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a given --output that exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw images beside their reconstructions and the differences.

    Half of the test images shown are normal and half are anomalies, as far as there are any.
    Of given files the first ones that can be read are shown.
    """
    from bigan_cli.workflows.reconstruct import Request
    from bigan_cli.workflows.reconstruct import reconstruct as draw

    draw(
        ctx.obj,
        Request(
            paths=paths or (),
            run=run,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            number=number,
            seed=seed,
            data_root=data_root,
            output=output,
            overwrite=overwrite,
            as_json=as_json,
        ),
    )
