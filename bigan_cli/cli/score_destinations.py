"""``bigan score`` by where the rows go: one table, the parts of a shard, or those of an engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bigan_cli.errors import UsageError

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.data.sources.find import Input
    from bigan_cli.workflows.scorer import ScorerSettings


@dataclass(frozen=True)
class Scoring:
    """What is scored with what, wherever the rows go.

    Attributes:
        inputs: As given.
        recursive: Whether folders are searched recursively.
        run: The run directory.
        checkpoint: Which of its models.
        settings: How images are scored and labelled.
        output: The file that has all rows in the end, or None.
        fail_on_anomaly: Whether anomalies change the exit code.
    """

    inputs: Iterable[Input]
    recursive: bool
    run: Path
    checkpoint: str
    settings: ScorerSettings
    output: str | None
    fail_on_anomaly: bool

    def needed_output(self, flag: str) -> str:
        """Return the output.

        Raises:
            UsageError: There is none, and *flag* needs it.
        """
        if self.output is None:
            raise UsageError(f"{flag} needs an --output", "its parts are written beside it")
        return self.output


@dataclass(frozen=True)
class Heatmaps:
    """Where heatmaps and masks go, and their format."""

    maps: Path | None
    map_format: str | None
    masks: Path | None

    def flags(self) -> dict[str, object]:
        """Return the options that set it."""
        return {"--maps": self.maps, "--map-format": self.map_format, "--masks": self.masks}


@dataclass(frozen=True)
class Table:
    """What is made of all rows; see :func:`bigan_cli.workflows.score.score_files`."""

    resume: bool
    sort: bool
    top: int | None
    fdr: float | None
    report: Path | None
    as_json: bool

    def flags(self) -> dict[str, object]:
        """Return the options that set it."""
        return {
            "--resume": self.resume,
            "--sort": self.sort,
            "--top": self.top,
            "--fdr": self.fdr,
            "--report": self.report,
            "--json": self.as_json,
        }


def score_to_table(terminal: Terminal, scoring: Scoring, heatmaps: Heatmaps, table: Table) -> None:
    """Score all inputs, print the rows or write them, and show a summary."""
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views import score as view
    from bigan_cli.workflows.score import score_files

    output = scoring.output
    printer = view.RowPrinter(terminal, output, table.report, as_json=table.as_json)
    with view.partial_output_note(terminal, output), progress_callbacks(terminal) as callbacks:
        result = score_files(
            scoring.inputs,
            run=scoring.run,
            checkpoint=scoring.checkpoint,
            settings=scoring.settings,
            fdr=table.fdr,
            recursive=scoring.recursive,
            output=output,
            resume=table.resume,
            sort=table.sort,
            top=table.top,
            maps=heatmaps.maps,
            map_format=heatmaps.map_format,
            masks=heatmaps.masks,
            report=table.report,
            on_rows=printer,
            callbacks=callbacks,
        )
    if output is not None and not table.as_json:
        terminal.result(str(result.output))
    view.show_summary(terminal, result, printer.most_anomalous)
    view.check_result(result, fail_on_anomaly=scoring.fail_on_anomaly)


def score_one_shard(
    terminal: Terminal, scoring: Scoring, heatmaps: Heatmaps, shard: str, part_size: int | None
) -> None:
    """Score a shard in parts, and show what was done."""
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views import shards
    from bigan_cli.workflows.score_shard import PART_SIZE, score_shard

    output = scoring.needed_output("--shard")
    with progress_callbacks(terminal) as callbacks:
        result = score_shard(
            scoring.inputs,
            shard=shard,
            output=output,
            run=scoring.run,
            checkpoint=scoring.checkpoint,
            part_size=part_size or PART_SIZE,
            settings=scoring.settings,
            recursive=scoring.recursive,
            maps=heatmaps.maps,
            map_format=heatmaps.map_format,
            masks=heatmaps.masks,
            callbacks=callbacks,
        )
    shards.show_shard(terminal, result)
    shards.check_shard(result, fail_on_anomaly=scoring.fail_on_anomaly)


def score_by_engine(
    terminal: Terminal,
    scoring: Scoring,
    engine: str,
    address: str | None,
    workers: int | None,
    part_size: int | None,
) -> None:
    """Score on an engine, and show the result."""
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views import shards
    from bigan_cli.workflows.score_engine import score_on_engine
    from bigan_cli.workflows.score_shard import PART_SIZE

    output = scoring.needed_output("--engine")
    with progress_callbacks(terminal) as callbacks:
        result = score_on_engine(
            scoring.inputs,
            engine=engine,
            output=output,
            run=scoring.run,
            checkpoint=scoring.checkpoint,
            address=address,
            workers=workers,
            part_size=part_size or PART_SIZE,
            settings=scoring.settings,
            recursive=scoring.recursive,
            callbacks=callbacks,
        )
    shards.show_merge(terminal, result, as_json=False)
    shards.check_merge(result, fail_on_anomaly=scoring.fail_on_anomaly)
