"""How a benchmark looks on the terminal: a line for each run, the table of results, the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bigan_cli.cli.terminal import Terminal
from bigan_cli.errors import BiganError
from bigan_cli.formatting import count, human_time
from bigan_cli.report.benchmark import Figure, Table, tables
from bigan_cli.workflows.benchmark.grid import Grid
from bigan_cli.workflows.benchmark.plan import PlannedCell
from bigan_cli.workflows.benchmark.results import DONE, Row
from bigan_cli.workflows.benchmark.run import BenchmarkResult, Progress


def show_plan(
    terminal: Terminal, grid: Grid, planned: Sequence[PlannedCell], *, as_json: bool
) -> None:
    """Print the runs, the work left for each, and the equivalent commands."""
    if as_json:
        cells = [
            {"cell": each.cell.name, "state": each.state, "command": each.command}
            for each in planned
        ]
        terminal.json({"settings": grid.settings, "cells": cells})
        return
    terminal.table(
        ("run", "state", "command"),
        [(each.cell.name, each.state, each.command) for each in planned],
    )
    unfinished = sum(not each.finished for each in planned)
    terminal.note(f"{unfinished} of {count(len(planned), 'run')} to do; nothing was written")


@contextmanager
def row_display(terminal: Terminal, total: int) -> Iterator[Callable[[Row, Progress], None]]:
    """Yield a function that prints the line of a finished run, above a bar on a terminal."""
    if not terminal.interactive:
        yield lambda row, progress: terminal.note(line_of(row, progress))
        return
    with terminal.progress() as bar:
        task = bar.add_task("runs", total=total)

        def show(row: Row, progress: Progress) -> None:
            bar.console.print(line_of(row, progress), soft_wrap=True)
            bar.update(task, completed=progress.done)

        yield show


@contextmanager
def no_display(_terminal: Terminal, _total: int) -> Iterator[Callable[[Row, Progress], None]]:
    """Yield a function that shows nothing, for processes beside the one that shows the rows."""
    yield lambda _row, _progress: None


def line_of(row: Row, progress: Progress) -> str:
    """Return one line: the figures of a run, or why it failed, and the time left."""
    head = f"run {progress.done}/{progress.total} {row['cell']}"
    text = f"failed: {row['error']}"
    if row["status"] == DONE:
        figures = [("auroc", row["auroc"]), ("untrained", row["untrained_auroc"])]
        figures += [(name, of["auroc"]) for name, of in (row["baselines"] or {}).items()]
        text = " ".join(f"{name}={value:.4f}" for name, value in figures if value is not None)
        text += f" {human_time(row['training_seconds'])}"
        text += f" ({row['error']})" if row["error"] else ""
    return f"{head} {text} eta={human_time(progress.seconds_left)}"


def show_result(terminal: Terminal, result: BenchmarkResult, *, as_json: bool) -> None:
    """Print the table of results.

    Raises:
        BiganError: Some runs failed.
    """
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.table(*figures_table(result.document["cells"]))
    terminal.note(f"written to {result.output}: results.json, results.csv, results.md, runs/")
    if result.failed:
        first, *others = result.failed
        raise BiganError(
            f"{len(result.failed)} of {count(len(result.rows), 'run')} failed: {first['cell']}: "
            f"{first['error']}" + (", ..." if others else ""),
            f"see {result.output / 'logs'}; the same command tries them again",
        )


def show_interruption(terminal: Terminal, result: BenchmarkResult) -> None:
    """Print how much is left to do, and how to continue."""
    left = result.total - result.finished
    terminal.note(
        f"stopped with {count(left, 'run')} of {result.total} to go; "
        f"all work is saved in {result.output}\nhint: continue with the same command"
    )


def figures_table(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Return (headings, cells): the AUROC of each class, and the mean for each dataset.

    Many detectors are listed below each other instead of side by side.
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
        return ["dataset", "class", "detector", "AUROC"], long
    columns = list(dict.fromkeys(column for table in found for column in table.columns))
    return ["dataset", "class", *columns], [
        [table.dataset, name, *map(figures.get, columns)] for table, name, figures in lines
    ]


def _classes_and_mean(table: Table) -> list[tuple[str, tuple[Figure | None, ...]]]:
    lines = list(table.rows.items())
    return lines + ([(f"mean of {len(lines)}", table.mean)] if len(lines) > 1 else [])
