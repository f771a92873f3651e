"""``bigan score``: how far from normal images are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    PluginOption,
    RunOption,
    setting_option,
)


def score(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Image files, folders, or - for a list of paths on standard input.",
            metavar="PATH",
        ),
    ],
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images per forward pass. [default: the model's on a CPU, 16 times that on a GPU]",
        ),
    ] = None,
    fpr: Annotated[
        float | None,
        setting_option("score.fpr", default="the run's own"),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Call an image anomalous above this score, instead.")
    ] = None,
    max_megapixels: Annotated[
        int | None,
        typer.Option(
            min=1, help="Refuse images of more million pixels than this. [the run's, 200]"
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive/--no-recursive", help="Search folders recursively.")
    ] = True,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="The list of - is separated by NUL, not newline.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Output file (overwritten); .csv or .jsonl.", metavar="FILE"),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume an --output that was stopped."),
    ] = False,
    sort: Annotated[
        bool, typer.Option("--sort", help="Most anomalous first; holds all rows in memory.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first unreadable file, with exit code 1.")
    ] = False,
    fail_on_anomaly: Annotated[
        bool,
        typer.Option(
            "--fail-on-anomaly",
            help="End with exit code 3 if there is an anomaly, even if files were skipped.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Score images: one row each with score, p-value, label and components.

    Rows go to standard output, as CSV unless it is a terminal, in the order of the inputs.
    A file that cannot be read gets a row with the reason, and the exit code is 4. Until all
    images are scored, the rows of --output are in FILE.partial.
    """
    from bigan_cli.workflows.score import score as score_images
    from bigan_cli.workflows.score_request import Request

    score_images(
        ctx.obj,
        Request(
            paths=paths,
            run=run,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            batch_size=batch_size,
            fpr=fpr,
            threshold=threshold,
            recursive=recursive,
            null=null,
            output=output,
            resume=resume,
            sort=sort,
            strict=strict,
            fail_on_anomaly=fail_on_anomaly,
            as_json=as_json,
            max_megapixels=max_megapixels,
        ),
    )
