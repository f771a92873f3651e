"""Arguments of a scoring that contradict each other or cannot work, found before it starts."""

from __future__ import annotations

from pathlib import Path

from bigan_cli.errors import UsageError
from bigan_cli.locations.location import Location, RemoteFile
from bigan_cli.storage.parquet_table import require_parquet
from bigan_cli.storage.partial_output import exclusive, is_unfinished, partial_path
from bigan_cli.storage.score_table import OUTPUT_SUFFIXES
from bigan_cli.workflows.reports.facts import check_report_file
from bigan_cli.workflows.scorer import ScorerSettings


def check_fdr(fdr: float | None, settings: ScorerSettings) -> None:
    """Raise a UsageError if a false discovery rate does not fit the other arguments."""
    others = (settings.fpr, settings.threshold, settings.review_fpr)
    if fdr is not None and not all(each is None for each in others):
        raise UsageError(
            "a false discovery rate excludes 'score.fpr', a rate for a review and a threshold",
            "each decides the label",
        )
    if fdr is not None and not 0 < fdr < 1:
        raise UsageError(f"'fdr={fdr:g}' is not between 0 and 1")


def check_output(output: Location | None, *, resume: bool, whole: bool) -> None:
    """Raise a UsageError if *output* cannot be written or resumed."""
    if output is None:
        if resume:
            raise UsageError("there is no output to resume", "pass 'output=FILE' too")
        return
    check_table_name(output)
    if isinstance(output, RemoteFile):
        if resume:
            raise UsageError(
                "an output behind a URL cannot be resumed", "score with 'shard=1/1', which can"
            )
        return
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "the output is a file")
    if output.exists() and not output.is_file():
        raise UsageError(f"{output} is not a regular file", "without 'output' rows are printed")
    if resume and whole:
        raise UsageError(
            "an output that is sorted or labelled as a whole cannot be resumed",
            "its rows are written when all are known",
        )
    if not resume and not whole and is_unfinished(output):
        with exclusive(output):  # or another process is still writing these rows
            raise UsageError(
                f"{partial_path(output)} holds the rows of a run that was stopped",
                "'resume=True' continues it; delete it to start over",
            )


def check_table_name(output: Location) -> None:
    """Raise an error if rows cannot be written to a file of this name.

    Raises:
        UsageError: It has another suffix, or a package is missing.
    """
    if not output.name.lower().endswith(OUTPUT_SUFFIXES):
        raise UsageError(f"{output} is none of .csv, .jsonl and .parquet")
    if output.name.lower().endswith(".parquet"):
        require_parquet()


def check_report(report: Path | None, *, resume: bool) -> None:
    """Raise a UsageError if there can be no report."""
    if report is None:
        return
    check_report_file(report)
    if resume:
        raise UsageError(
            "a resumed scoring has no report", "it would lack the images that were scored before"
        )
