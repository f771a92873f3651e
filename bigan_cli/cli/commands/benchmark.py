"""``bigan benchmark``: many trainings, their evaluations, and tables of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli import completion
from bigan_cli.cli.options import JsonOption, PluginOption


def benchmark(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Run file (TOML) of every run.", metavar="FILE"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A configuration key of every run; repeatable.", metavar="TABLE.KEY=VALUE"
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            help="Data set; repeatable. [digits]",
            metavar="NAME",
            autocompletion=completion.datasets,
        ),
    ] = None,
    inlier: Annotated[
        list[str] | None,
        typer.Option(
            help="A class to be the normal one, or 'all' for each in turn; repeatable. [all]",
            metavar="CLASS",
        ),
    ] = None,
    outlier: Annotated[
        list[str] | None,
        typer.Option(
            help="A class to be the anomaly (leave-one-out), or 'all'; repeatable.", metavar="CLASS"
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Seed of the runs; repeatable. [0]", min=0, max=2**31 - 1),
    ] = None,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            help="Preset handed on to 'bigan train'; repeatable.",
            metavar="NAME",
            autocompletion=completion.values_of("train", "preset"),
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="Settings of a name, to be compared; repeatable.",
            metavar="NAME='--set K=V --set ...'",
        ),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Add classical detectors on the very same images."),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            help="auto, cpu, cuda, cuda:N or mps. [auto]",
            metavar="DEVICE",
            autocompletion=completion.words(*completion.DEVICES),
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(help="Folder with the data. [this machine's data cache]", metavar="DIR"),
    ] = None,
    plugin: PluginOption = None,
    jobs: Annotated[
        int, typer.Option(help="Runs beside each other; they share the cores.", min=1)
    ] = 1,
    output: Annotated[
        Path, typer.Option(help="Folder for runs and results.", metavar="DIR")
    ] = Path("benchmark-results"),
    baselines_of: Annotated[
        Path | None,
        typer.Option(help="Only compute the baselines of this run, and print them.", metavar="DIR"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be run; write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate over data sets, classes and seeds, and make tables of the results.

    Every run lies in OUTPUT/runs, and is what 'bigan train' and 'bigan evaluate' make of it.
    results.json, .csv and .md are written anew after each. The same command goes on where an
    earlier one was stopped, and tries again what failed.
    """
    if baselines_of is not None:
        from bigan_cli.workflows.benchmark.baselines import show_baselines

        show_baselines(ctx.obj, baselines_of, data_root, as_json=as_json)
        return
    from bigan_cli.workflows.benchmark.grid import Request
    from bigan_cli.workflows.benchmark.run import run_benchmark

    run_benchmark(
        ctx.obj,
        Request(
            config=config,
            datasets=dataset or (),
            inlier=inlier or (),
            outlier=outlier or (),
            seeds=seed or (),
            presets=preset or (),
            variants=variant or (),
            sets=set_ or (),
            plugins=plugin or (),
            device=device,
            data_root=data_root,
            output=output,
            jobs=jobs,
            baselines=baselines,
            dry_run=dry_run,
            as_json=as_json,
        ),
    )
