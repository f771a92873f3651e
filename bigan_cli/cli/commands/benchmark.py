"""``bigan benchmark``: many trainings and evaluations, and tables of their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli.flags import class_refs
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and their commands; write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train and evaluate over datasets, classes and seeds, and make tables of the results.

    OUTPUT/runs holds the run directories; results.json, .csv and .md are updated after each run.
    The same command continues an interrupted benchmark, and tries failed runs again.
    """
    from bigan_cli.cli.processes import is_first_process
    from bigan_cli.cli.signals import stop_on_signals
    from bigan_cli.cli.variants import parse_variants
    from bigan_cli.cli.views import benchmark as view
    from bigan_cli.errors import INTERRUPTED
    from bigan_cli.workflows.benchmark import run as workflow
    from bigan_cli.workflows.benchmark.grid import make_grid
    from bigan_cli.workflows.benchmark.plan import plan
    from bigan_cli.workflows.callbacks import Callbacks

    grid = make_grid(
        datasets=dataset or (),
        inlier=class_refs(inlier),
        outlier=class_refs(outlier),
        seeds=seed or (),
        presets=preset or (),
        variants=parse_variants(variant or ()),
        sets=set_ or (),
        config=config,
        plugins=plugin or (),
        device=device,
        data_root=data_root,
    )
    first = is_first_process()
    if dry_run:
        if first:
            planned = plan(grid, output=output, baselines=baselines)
            view.show_plan(ctx.obj, grid, planned, as_json=as_json)
        return
    show_rows = view.row_display if first else view.no_display
    with stop_on_signals() as stop, show_rows(ctx.obj, len(grid.cells)) as on_row:
        result = workflow.benchmark(
            grid,
            output=output,
            jobs=jobs,
            baselines=baselines,
            on_row=on_row,
            callbacks=Callbacks(should_stop=stop.is_set),
        )
    if result.status == "interrupted":
        if first:
            view.show_interruption(ctx.obj, result)
        raise typer.Exit(INTERRUPTED)
    if first:
        view.show_result(ctx.obj, result, as_json=as_json)
