"""``bigan watch``: scores image files as they arrive in a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    MapFormatOption,
    MapsOption,
    MasksOption,
    MaxMegapixelsOption,
    ModelOption,
    PluginOption,
    RecursiveOption,
    ReviewFprOption,
    setting_option,
)
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def watch(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to watch.", metavar="DIR")],
    output: Annotated[
        Path, typer.Option(help="File to append rows to; .csv or .jsonl.", metavar="FILE")
    ],
    run: ModelOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    fpr: Annotated[float | None, setting_option("score.fpr", default="the model's own")] = None,
    review_fpr: ReviewFprOption = None,
    max_megapixels: MaxMegapixelsOption = None,
    recursive: RecursiveOption = True,
    poll: Annotated[
        bool, typer.Option("--poll", help="List the folder every second (network file systems).")
    ] = False,
    settle: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds without a change until a file is complete, where no event tells."
        ),
    ] = 1.0,
    maps: MapsOption = None,
    map_format: MapFormatOption = None,
    masks: MasksOption = None,
    flagged: Annotated[
        Path | None,
        typer.Option(help="Copy images that are not normal to this folder.", metavar="DIR"),
    ] = None,
    move_flagged: Annotated[
        bool, typer.Option("--move-flagged", help="Move them to --flagged instead.")
    ] = False,
    webhook: Annotated[
        str | None,
        typer.Option(help="Post the row of each image that is not normal as JSON.", metavar="URL"),
    ] = None,
) -> None:
    """Score image files as they arrive in a folder, and append their rows to a file.

    Each file has one row, also if the process is killed and started again: it continues the
    output. A file is taken when it is complete. Every image needs its own name. The command ends
    at SIGTERM, after the files that have arrived.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import plain_callbacks
    from bigan_cli.cli.signals import stop_on_signals
    from bigan_cli.formatting import count
    from bigan_cli.workflows.watching.watch import FlaggedImages
    from bigan_cli.workflows.watching.watch import watch as watch_folder

    with stop_on_signals() as stop:
        result = watch_folder(
            folder,
            run=run,
            output=output,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            fpr=fpr,
            review_fpr=review_fpr,
            max_megapixels=max_megapixels,
            recursive=recursive,
            poll=poll,
            settle=settle,
            maps=maps,
            map_format=map_format,
            masks=masks,
            flagged=FlaggedImages(flagged, move_flagged, webhook),
            callbacks=replace(plain_callbacks(terminal), should_stop=stop.is_set),
        )
    terminal.note(
        f"stopped: {count(result.scored, 'image')} scored ({result.resumed:,} before), "
        f"skipped {result.skipped:,}, anomalies {result.anomalies:,}"
    )
