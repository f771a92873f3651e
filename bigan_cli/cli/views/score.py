"""How scores look: rows on standard output, and the summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bigan_cli.cli.terminal import Terminal, flush_stdout
from bigan_cli.cli.views.most_anomalous import MostAnomalous
from bigan_cli.errors import DataError, GateFailed, SomeInputsSkipped
from bigan_cli.formatting import count, none_readable, one_line
from bigan_cli.locations.location import locate
from bigan_cli.storage.partial_output import is_unfinished, partial_path
from bigan_cli.storage.score_table import RowFormat, ScoreRow, csv_format, json_format
from bigan_cli.workflows.score import ScoreResult


class RowPrinter:
    """Prints rows on standard output, each batch at once; the header comes first.

    The rows are JSON lines if *as_json*. Otherwise nothing is printed if they go to *output*, and
    else they are columns on a terminal and CSV elsewhere. On a terminal a *report* takes their
    place, too.
    """

    def __init__(
        self, terminal: Terminal, output: str | None, report: Path | None, *, as_json: bool
    ) -> None:
        self._terminal = terminal
        elsewhere = output is not None or (report is not None and terminal.stdout_is_terminal)
        self._silent = elsewhere and not as_json
        self._as_json = as_json
        self._format: RowFormat | None = None
        self.most_anomalous = MostAnomalous()

    def __call__(self, components: Sequence[str], rows: Sequence[ScoreRow]) -> None:
        """Print the rows of one batch."""
        self.most_anomalous.add(rows)
        if self._silent:
            return
        lines = []
        if self._format is None:
            self._format = self._choose(components)
            lines = [] if self._format.header is None else [self._format.header]
        self._terminal.result("\n".join([*lines, self._format.lines(rows)]))
        flush_stdout()

    def _choose(self, components: Sequence[str]) -> RowFormat:
        if self._as_json:
            return json_format()
        if self._terminal.stdout_is_terminal:
            return _columns()
        return csv_format(components)


def _columns() -> RowFormat:
    """Return columns for a reader: label, p-value, score, and the whole path last."""

    def line(row: ScoreRow) -> str:
        if row.score is None or row.p_value is None:
            return f"{'error':<8}{'':>9}{'':>10}  {one_line(row.path)}: {row.error}"
        return f"{row.label:<8}{row.p_value:>9.4f}{row.score:>10.3f}  {one_line(row.path)}"

    return RowFormat(
        f"{'label':<8}{'p-value':>9}{'score':>10}  path", lambda rows: "\n".join(map(line, rows))
    )


def show_summary(terminal: Terminal, result: ScoreResult, most_anomalous: MostAnomalous) -> None:
    """Print how many images were scored, converted, skipped and labelled anomalous.

    On a terminal the most anomalous images are listed first.
    """
    if terminal.stderr_is_terminal and result.status == "done":
        lines = most_anomalous.lines(terminal.width, block=terminal.block)
        if lines:
            terminal.note("\n".join(["most anomalous:", *lines]))
    if result.conversions:
        conversions = ", ".join(f"{n:,} {what}" for what, n in result.conversions.items())
        terminal.note(f"prepared for the model: {conversions}")
    before = f" ({result.resumed:,} before)" if result.resumed else ""
    rule = f"score above {result.threshold:g}"
    if result.fdr is not None:
        rule += f", for a false discovery rate of {result.fdr:g}"
    elif result.fpr is not None:
        rule = f"score above {result.threshold:.4g}, for a false-positive rate of {result.fpr:g}"
    reviews = f", to review {result.reviews:,}" if result.reviews else ""
    terminal.note(
        f"scored {result.scored:,}{before}, skipped {result.skipped:,}, "
        f"anomalies {result.anomalies:,} ({rule}){reviews}"
    )
    if most_anomalous.smallest_p_value == result.smallest_p_value:
        n = result.calibration_images
        terminal.note(
            f"a p-value of {result.smallest_p_value:.2g}, 1/{n + 1:,}, is the smallest that "
            f"{count(n, 'calibration image')} allow: no normal image among them scores as high"
        )
    if result.report is not None:
        terminal.note(f"report: {result.report}")


@contextmanager
def partial_output_note(terminal: Terminal, output: str | None) -> Iterator[None]:
    """Note where the rows are and how to continue when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        file = None if output is None else locate(output)
        if isinstance(file, Path) and is_unfinished(file):
            terminal.note(f"{partial_path(file)} holds the rows so far; --resume continues it")
        raise


def check_result(result: ScoreResult, *, fail_on_anomaly: bool) -> None:
    """Raise the error that sets the exit code: an anomaly outweighs a skipped input.

    Raises:
        DataError: No input could be read, or a score is not finite.
        GateFailed: There is an anomaly, and *fail_on_anomaly*.
        SomeInputsSkipped: Some inputs could not be read.
    """
    if result.status == "interrupted":
        raise KeyboardInterrupt
    if result.not_finite:
        raise DataError(
            f"{count(result.not_finite, 'image')} of {result.scored + result.skipped:,} have a "
            "score that is not finite",
            "the networks are broken: take another checkpoint, or train again",
        )
    if not result.scored:
        raise DataError(none_readable(result.skipped))
    if fail_on_anomaly and result.anomalies:
        raise GateFailed(
            f"{count(result.anomalies, 'anomaly', 'anomalies')} in "
            f"{count(result.scored, 'image')} (--fail-on-anomaly)"
        )
    if result.skipped:
        total = result.scored + result.skipped
        raise SomeInputsSkipped(f"{result.skipped:,} of {count(total, 'input')} could not be read")
