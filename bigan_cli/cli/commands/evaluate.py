"""``bigan evaluate``: what a trained model is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli import completion
from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    PluginOption,
    RunOption,
)


def evaluate(
    ctx: typer.Context,
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    fpr: Annotated[
        float | None,
        typer.Option(help="Share of normal images that may be called anomalous. [the run's]"),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Evaluate on another data set. [the run's own test images]",
            metavar="NAME",
            autocompletion=completion.datasets,
        ),
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Folder with the data. [where it was]", metavar="DIR")
    ] = None,
    inlier: Annotated[
        list[str] | None,
        typer.Option(
            help="Normal class of that data set, index or name; repeatable.", metavar="CLASS"
        ),
    ] = None,
    outlier: Annotated[
        list[str] | None,
        typer.Option(
            help="Anomalous class of that data set, index or name; repeatable.", metavar="CLASS"
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="More about that data set; repeatable.", metavar="data.KEY=VALUE"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap intervals.", min=0)] = 0,
    min_auroc: Annotated[
        float | None, typer.Option(help="End with exit code 3 if the AUROC is below this.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a trained model on its test images: AUROC, average precision, rates, figures.

    Every figure has its 95 % interval and stands beside that of the untrained network. Where
    there are no anomalies to test with, the threshold and what to expect of it are reported.
    """
    from bigan_cli.workflows.evaluate import Request, run_evaluation

    run_evaluation(
        ctx.obj,
        Request(
            run=run,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            fpr=fpr,
            dataset=dataset,
            data_root=data_root,
            inlier=inlier or (),
            outlier=outlier or (),
            sets=set_ or (),
            seed=seed,
            min_auroc=min_auroc,
            as_json=as_json,
        ),
    )
