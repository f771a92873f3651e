"""``bigan evaluate``: evaluates a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.flags import class_refs
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


def evaluate(
    ctx: typer.Context,
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    fpr: Annotated[
        float | None,
        setting_option("score.fpr", default="the run's own"),
    ] = None,
    dataset: Annotated[
        str | None,
        setting_option(
            "data.dataset",
            help="Evaluate on another dataset.",
            default="the run's own test images",
        ),
    ] = None,
    data_root: Annotated[Path | None, setting_option("data.root", default="as in training")] = None,
    inlier: Annotated[
        list[str] | None,
        setting_option("data.inlier", help="Normal class of that dataset. Repeatable."),
    ] = None,
    outlier: Annotated[
        list[str] | None,
        setting_option("data.outlier", help="Anomalous class of that dataset. Repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Any data.* key of that dataset. Repeatable.", metavar="data.KEY=VALUE"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the bootstrap confidence intervals.", min=0)
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the results to. [default: stats in the run]", metavar="DIR"
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write an HTML report, too: report.html in the run.")
    ] = False,
    min_auroc: Annotated[
        float | None, typer.Option(help="Exit code 3 if the AUROC is below this.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a trained model on its test images: AUROC, average precision, rates, figures.

    Metrics have 95 % intervals and are compared with those of the untrained network. Where there
    are no anomalies to test with, the threshold and its expected rate are reported.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views.evaluation import check_gate, check_min_auroc, show_evaluation
    from bigan_cli.workflows.evaluate import evaluate as evaluate_run

    check_min_auroc(min_auroc)
    with progress_callbacks(terminal) as callbacks:
        result = evaluate_run(
            run=run,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            fpr=fpr,
            dataset=dataset,
            data_root=data_root,
            inlier=class_refs(inlier),
            outlier=class_refs(outlier),
            sets=set_ or (),
            seed=seed,
            output=output,
            report=report,
            callbacks=callbacks,
        )
    show_evaluation(terminal, result, as_json=as_json)
    if result.write_error is not None:
        raise result.write_error
    check_gate(result, min_auroc)
