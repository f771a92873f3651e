"""``bigan benchmark``: many trainings, their evaluations, and tables of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli.options import (
    ConfigOption,
    JsonOption,
    PluginOption,
    SetOption,
    setting_option,
)


def benchmark(
    ctx: typer.Context,
    config: ConfigOption = None,
    set_: SetOption = None,
    dataset: Annotated[
        list[str] | None, setting_option("data.dataset", help="Dataset. Repeatable.")
    ] = None,
    inlier: Annotated[
        list[str] | None,
        setting_option(
            "data.inlier",
            help="Normal class, or 'all' for each in turn. Repeatable.",
            default="all",
        ),
    ] = None,
    outlier: Annotated[
        list[str] | None,
        setting_option(
            "data.outlier",
            help="Anomalous class (leave-one-out), or 'all' for each in turn. Repeatable.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Random seed. Repeatable. [default: 0]", min=0, max=2**31 - 1),
    ] = None,
    preset: Annotated[
        list[str] | None,
        setting_option("train.preset", help="Training effort, as for train. Repeatable."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="Named set of overrides to compare. Repeatable.",
            metavar="NAME='--set K=V --set ...'",
        ),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Add classical detectors on the same images."),
    ] = False,
    device: Annotated[str | None, setting_option("train.device")] = None,
    data_root: Annotated[Path | None, setting_option("data.root")] = None,
    plugin: PluginOption = None,
    jobs: Annotated[
        int, typer.Option(help="Number of runs in parallel; they share the cores.", min=1)
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
    """Train and evaluate over datasets, classes and seeds, and make tables of the results.

    Every run is in OUTPUT/runs, as 'bigan train' and 'bigan evaluate' write it. results.json,
    .csv and .md are rewritten after each run. The same command resumes where an earlier one was
    stopped, and repeats failed runs.
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
