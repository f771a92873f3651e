"""A benchmark in words: a line for each run, the table of all, and the plan."""

from __future__ import annotations

from collections.abc import Sequence

from bigan_cli.formatting import human_time
from bigan_cli.report.benchmark import Figure, Row, Table, tables
from bigan_cli.workflows.benchmark.cell import DONE


def line_of(row: Row, number: int, total: int, left: float) -> str:
    """Return what is told of a run that has ended, and when all will have."""
    head = f"run {number}/{total} {row['cell']}"
    told = f"failed: {row['error']}"
    if row["status"] == DONE:
        figures = [("auroc", row["auroc"]), ("untrained", row["untrained_auroc"])]
        figures += [(name, of["auroc"]) for name, of in (row["baselines"] or {}).items()]
        told = " ".join(f"{name}={value:.4f}" for name, value in figures if value is not None)
        told += f" {human_time(row['training_seconds'])}"
        told += f" ({row['error']})" if row["error"] else ""
    return f"{head} {told} eta={human_time(left)}"


def figures_table(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Return (headings, cells): the AUROC of each class, and their mean for each data set.

    Many detectors stand below each other instead of side by side.
    The protocol, one for a whole folder, is left to results.md: a terminal is narrow.
    """
    found = tables(rows)
    lines = [
        (table, name, dict(zip(table.columns, figures, strict=True)))
        for table in found
        for name, figures in _classes_and_mean(table)
    ]
    if any(table.wide for table in found):
        long: list[list[object]] = [
            [table.dataset, name, detector, figure]
            for table, name, figures in lines
            for detector, figure in figures.items()
        ]
        return ["data set", "class", "detector", "AUROC"], long
    columns = list(dict.fromkeys(column for table in found for column in table.columns))
    return ["data set", "class", *columns], [
        [table.dataset, name, *map(figures.get, columns)] for table, name, figures in lines
    ]


def _classes_and_mean(table: Table) -> list[tuple[str, tuple[Figure | None, ...]]]:
    lines = list(table.rows.items())
    return lines + ([(f"mean of {len(lines)}", table.mean)] if len(lines) > 1 else [])
