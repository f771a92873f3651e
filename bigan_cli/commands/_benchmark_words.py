"""A benchmark in words: a line for each run, the table of all, and the plan."""

from __future__ import annotations

from collections.abc import Sequence

from bigan_cli.commands._benchmark_cell import DONE
from bigan_cli.console import human_time
from bigan_cli.report.benchmark import Row, tables


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

    The protocol, one for a whole folder, is left to results.md: a terminal is narrow.
    """
    found = tables(rows)
    columns = list(dict.fromkeys(column for table in found for column in table.columns))
    cells: list[list[object]] = []
    for table in found:
        lines = list(table.rows.items())
        lines += [(f"mean of {len(lines)}", table.mean)] if len(lines) > 1 else []
        for name, figures in lines:
            known = dict(zip(table.columns, figures, strict=True))
            cells.append([table.dataset, name, *(known.get(c) for c in columns)])
    return ["data set", "class", *columns], cells
