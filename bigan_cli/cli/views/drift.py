"""How the outcome of ``bigan monitor`` looks."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.errors import GateFailed
from bigan_cli.formatting import count, one_line
from bigan_cli.workflows.monitor import DriftReport

_COLUMNS = ("value", "median", "reference", "evidence", "alarm at")


def show_drift(terminal: Terminal, report: DriftReport, *, as_json: bool) -> None:
    """Print the score and its components, the most changed first, and what the test found."""
    if as_json:
        terminal.json(report.as_dict())
    else:
        terminal.table(
            _COLUMNS,
            [
                (
                    each.name,
                    f"{each.median:.3f}",
                    f"{each.reference_median:.3f}",
                    f"{each.evidence:.3g}",
                    each.alarm,
                )
                for each in report.values
            ],
        )
    skipped = f", {report.skipped:,} without a score" if report.skipped else ""
    terminal.note(
        f"{count(report.images, 'image')}{skipped}, compared with {_reference(report)}; "
        f"{report.flagged:.1%} flagged at a rate of {report.fpr:g}"
    )
    verdict = "no drift" if report.alarm is None else "drift"
    terminal.note(f"{verdict}: an evidence of {report.limit:g} raises the alarm")


def _reference(report: DriftReport) -> str:
    if report.reference_source == "calibration images":
        return f"{report.reference:,} calibration images"
    return f"the first {report.reference:,} of them"


def check_drift(report: DriftReport) -> None:
    """Raise the error that sets the exit code, if there is an alarm.

    Raises:
        GateFailed: There is.
    """
    if report.reference_drifted:
        raise GateFailed(
            f"the images had drifted before the first: {report.reference_flagged:.0%} of the first "
            f"{report.reference:,}, with which the others are compared, are flagged at a rate of "
            f"{report.fpr:g}",
            "look at them: if they are normal, 'bigan recalibrate' makes a model that knows them; "
            "else begin the file with normal images",
        )
    if report.alarm is not None:
        raise GateFailed(
            f"the images have drifted: alarm at image {report.alarm:,} of {report.images:,}, "
            f"{one_line(report.alarm_path or '')}; most changed: {report.values[0].name}",
            "many defects at once raise it, too; if there are none, check camera and light, and "
            "if these are meant to be so, 'bigan recalibrate'",
        )
