"""``bigan monitor``: tests scored images for drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import CheckpointOption, JsonOption, ModelOption
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def monitor(
    ctx: typer.Context,
    scores: Annotated[
        Path,
        typer.Argument(
            help="CSV, JSON lines or Parquet of bigan score, watch or merge, in the order of "
            "arrival.",
            metavar="SCORES",
        ),
    ],
    run: ModelOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    false_alarm_rate: Annotated[
        float, typer.Option(help="Probability of an alarm, ever, without drift.", metavar="SHARE")
    ] = 0.01,
    reference: Annotated[
        int | None,
        typer.Option(
            help="Compare with the first N images instead of the calibration images. "
            "By default 100 if these are cross-fitted, else 0.",
            metavar="N",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Test whether newly scored images are still like those that the model was calibrated on.

    A sequential test: it may be repeated on the growing file as often as you like. Most images
    should be normal; a few anomalies raise no alarm. The exit code is 3 if there is one: check
    camera and light, then 'bigan recalibrate'.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.views.drift import check_drift, show_drift
    from bigan_cli.workflows.monitor import monitor as monitor_scores

    report = monitor_scores(
        scores,
        run=run,
        checkpoint=checkpoint,
        false_alarm_rate=false_alarm_rate,
        reference=reference,
    )
    show_drift(terminal, report, as_json=as_json)
    check_drift(report)
