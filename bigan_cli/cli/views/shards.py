"""How the scoring of a shard looks, and the merging of its parts."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.errors import DataError, GateFailed, SomeInputsSkipped
from bigan_cli.formatting import count, json_document, none_readable
from bigan_cli.storage.score_parts import PartCounts
from bigan_cli.workflows.merge import MergeResult
from bigan_cli.workflows.score_shard import ShardResult


def show_shard(terminal: Terminal, result: ShardResult) -> None:
    """Print where the parts are, and how many images this shard has scored."""
    terminal.result(str(result.folder))
    existing = f", {result.existing:,} existed" if result.existing else ""
    of_all = f" of {result.parts:,}" if result.parts else ""
    terminal.note(f"wrote {count(result.written, 'part')}{of_all}{existing}")
    terminal.note(_summary(result.counts, result.threshold))


def check_shard(result: ShardResult, *, fail_on_anomaly: bool) -> None:
    """Raise the error that sets the exit code; a shard without parts has none.

    Raises:
        DataError: No input could be read, or a score is not finite.
        GateFailed: There is an anomaly, and *fail_on_anomaly*.
        SomeInputsSkipped: Some inputs could not be read.
    """
    if result.status == "interrupted":
        raise KeyboardInterrupt
    _check(result.counts, fail_on_anomaly=fail_on_anomaly)


def show_merge(terminal: Terminal, result: MergeResult, *, as_json: bool) -> None:
    """Print the merged file, and how many rows it has."""
    if as_json:
        terminal.result(
            json_document(
                {
                    "output": str(result.output),
                    "parts": result.parts,
                    "scored": result.counts.scored,
                    "skipped": result.counts.skipped,
                    "anomalies": result.counts.anomalies,
                    "threshold": result.threshold,
                }
            )
        )
    else:
        terminal.result(str(result.output))
    terminal.note(f"merged {count(result.parts, 'part')}")
    terminal.note(_summary(result.counts, result.threshold))


def check_merge(result: MergeResult, *, fail_on_anomaly: bool = False) -> None:
    """Raise the error that sets the exit code.

    Raises:
        DataError: No input could be read, or a score is not finite.
        GateFailed: There is an anomaly, and *fail_on_anomaly*.
        SomeInputsSkipped: Some inputs could not be read.
    """
    _check(result.counts, fail_on_anomaly=fail_on_anomaly)


def _summary(counts: PartCounts, threshold: float) -> str:
    return (
        f"scored {counts.scored:,}, skipped {counts.skipped:,}, "
        f"anomalies {counts.anomalies:,} (score above {threshold:.4g})"
    )


def _check(counts: PartCounts, *, fail_on_anomaly: bool) -> None:
    if counts.not_finite:
        raise DataError(
            f"{count(counts.not_finite, 'image')} of {counts.scored + counts.skipped:,} have a "
            "score that is not finite",
            "the networks are broken: take another checkpoint, or train again",
        )
    if counts.skipped and not counts.scored:
        raise DataError(none_readable(counts.skipped))
    if fail_on_anomaly and counts.anomalies:
        raise GateFailed(
            f"{count(counts.anomalies, 'anomaly', 'anomalies')} in "
            f"{count(counts.scored, 'image')} (--fail-on-anomaly)"
        )
    if counts.skipped:
        total = counts.scored + counts.skipped
        raise SomeInputsSkipped(f"{counts.skipped:,} of {count(total, 'input')} could not be read")
