"""``bigan report``: writes an HTML report of a run."""

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


def report(
    ctx: typer.Context,
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    fpr: Annotated[float | None, setting_option("score.fpr", default="the run's own")] = None,
    data_root: Annotated[Path | None, setting_option("data.root", default="as in training")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Output file. [default: report.html in the run]", metavar="FILE"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a run and write an HTML report of it.

    The report is one file that needs no network. It shows the verdict, what other thresholds would
    flag, the most and the least anomalous test images with reconstructions and heatmaps, metrics,
    training curves, the latent space, and the commands that repeat it. The files of 'bigan
    evaluate' are written as well.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views.report import show_report
    from bigan_cli.workflows.evaluate import evaluate

    with progress_callbacks(terminal) as callbacks:
        result = evaluate(
            run=run,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            fpr=fpr,
            data_root=data_root,
            report=output or True,
            callbacks=callbacks,
        )
    show_report(terminal, result, as_json=as_json)
    if result.write_error is not None:
        raise result.write_error
