"""What ``bigan benchmark`` does: run the cells that are not finished, and write the tables."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import typer

from bigan_cli.atomic import write_lock
from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.benchmark import figures_table, line_of
from bigan_cli.errors import INTERRUPTED, BiganError
from bigan_cli.formatting import count
from bigan_cli.storage.benchmark_directory import BenchmarkDirectory
from bigan_cli.workflows.benchmark.cell import DONE, CellRunner, state_of
from bigan_cli.workflows.benchmark.grid import Cell, Grid, Request, make_grid
from bigan_cli.workflows.benchmark.processes import (
    Children,
    Stopped,
    stopped_by_signals,
)
from bigan_cli.workflows.benchmark.results import Results, Row

_FINISHED = "finished"


def run_benchmark(terminal: Terminal, request: Request) -> None:
    """Run all cells of a benchmark that are not finished, and print its tables.

    Raises:
        UsageError: Something asked for does not exist, or the folder holds other results.
        BiganError: Some cells failed; all others were run.
        typer.Exit: It was interrupted.
    """
    grid = make_grid(request)
    folder = BenchmarkDirectory(request.output)
    results = Results(folder, request, grid)
    states = {
        cell.name: state_of(
            results.rows.get(cell.name),
            folder.run(cell.name),
            baselines=request.baselines,
        )
        for cell in grid.cells
    }
    waiting = [cell for cell in grid.cells if states[cell.name] != _FINISHED]
    children = Children(min(request.jobs, max(len(waiting), 1)))
    if request.dry_run:
        _show_plan(terminal, request, grid, states, children)
        return
    _check_devices(grid)
    if waiting:
        with write_lock(request.output), stopped_by_signals(children):
            results = Results(folder, request, grid)  # anew: another call may just have ended
            results.write()
            _run(terminal, request, folder, results, waiting, children, len(grid.cells))
    asked = [results.rows[c.name] for c in grid.cells if c.name in results.rows]
    if children.stopping:
        terminal.note(
            f"stopped with {count(len(grid.cells) - _finished(asked), 'run')} of "
            f"{len(grid.cells)} to go; all work is kept in {request.output}\n"
            "hint: the same command goes on"
        )
        raise typer.Exit(INTERRUPTED)
    _report(terminal, request, results, asked)


def _run(
    terminal: Terminal,
    request: Request,
    folder: BenchmarkDirectory,
    results: Results,
    waiting: Sequence[Cell],
    children: Children,
    total: int,
) -> None:
    """Run the cells that wait, so many at a time, and write the results after each."""
    runner = CellRunner(folder, request, children)
    started = time.monotonic()
    done = total - len(waiting)
    with _display(terminal, total, done) as show, ThreadPoolExecutor(request.jobs) as pool:
        try:
            futures = {
                pool.submit(runner.row, cell, results.rows.get(cell.name)): cell for cell in waiting
            }
            for number, future in enumerate(as_completed(futures), 1):
                try:
                    row = future.result()
                except Stopped:
                    continue
                results.rows[row["cell"]] = row
                results.write()
                left = (time.monotonic() - started) / number * (len(waiting) - number)
                show(line_of(row, done + number, total, left))
        except BaseException:
            # A full disk, say: without this the pool would wait for all that was to be run.
            children.stop()
            raise


@contextmanager
def _display(terminal: Terminal, total: int, done: int) -> Iterator[Any]:
    """Yield what shows the line of a finished cell, above a bar on a terminal."""
    if not terminal.interactive:
        yield terminal.note
        return
    with terminal.progress() as bar:
        task = bar.add_task("runs", total=total, completed=done)

        def show(line: str) -> None:
            bar.console.print(line, soft_wrap=True)
            bar.advance(task)

        yield show


def _check_devices(grid: Grid) -> None:
    """Refuse a device that is not there before anything is written; torch is slow to import."""
    for device in dict.fromkeys(cell.device for cell in grid.cells):
        if device not in ("auto", "cpu"):
            from bigan_cli.model.device import resolve_device

            resolve_device(device)


def _finished(rows: Sequence[Row]) -> int:
    return sum(row["status"] == DONE for row in rows)


def _report(terminal: Terminal, request: Request, results: Results, asked: Sequence[Row]) -> None:
    if request.as_json:
        terminal.json(results.document())
    else:
        terminal.table(*figures_table(list(results.rows.values())))
    terminal.note(f"written to {request.output}: results.json, results.csv, results.md, runs/")
    # A finished run without its baselines is a failure where they are asked for.
    failed = [row for row in asked if row["error"] and (row["status"] != DONE or request.baselines)]
    if failed:
        raise BiganError(
            f"{len(failed)} of {count(len(asked), 'run')} failed: {failed[0]['cell']}: "
            f"{failed[0]['error']}" + (", ..." if len(failed) > 1 else ""),
            f"{request.output / 'logs'} has what each said; the same command tries them again",
        )


def _show_plan(
    terminal: Terminal,
    request: Request,
    grid: Grid,
    states: Mapping[str, str],
    children: Children,
) -> None:
    runner = CellRunner(BenchmarkDirectory(request.output), request, children)
    commands = {cell.name: runner.command(cell) for cell in grid.cells}
    if request.as_json:
        terminal.json(
            {
                "settings": grid.settings,
                "cells": [
                    {"cell": name, "state": states[name], "command": command}
                    for name, command in commands.items()
                ],
            }
        )
        return
    terminal.table(
        ("run", "state", "command"),
        [(name, states[name], command) for name, command in commands.items()],
    )
    todo = sum(state != _FINISHED for state in states.values())
    terminal.note(f"{todo} of {count(len(commands), 'run')} to do; nothing was written")
