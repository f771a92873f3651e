"""The rows of a benchmark, those of earlier calls included, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bigan_cli.errors import UsageError
from bigan_cli.report.benchmark import markdown
from bigan_cli.report.benchmark_csv import as_csv
from bigan_cli.storage.benchmark_directory import BenchmarkDirectory
from bigan_cli.workflows.benchmark.cell import CellResult
from bigan_cli.workflows.benchmark.grid import Cell, Grid

Row = dict[str, Any]
"""The result of one cell, as results.json has it."""

DONE, FAILED = "done", "failed"


class Results:
    """All rows of a benchmark, and the files that hold them.

    Args:
        folder: The folder of the benchmark.
        grid: The cells of this call.
        command: The command line of this call.

    Raises:
        UsageError: The folder has results with other settings.
        RunDirectoryError: The folder holds something else, or its results are damaged.
    """

    def __init__(self, folder: BenchmarkDirectory, grid: Grid, command: str) -> None:
        self._folder = folder
        before = folder.read()
        if before is not None:
            _check_settings(before["settings"], grid.settings, folder.path)
        old: Mapping[str, Any] = before or {"settings": {}, "cells": []}
        variants = {**old["settings"].get("variants", {}), **grid.settings["variants"]}
        self._settings = {**grid.settings, "variants": variants}
        self._command = command
        self.rows: dict[str, Row] = {row["cell"]: row for row in old["cells"]}
        self._order = {cell.name: i for i, cell in enumerate(grid.cells)}

    def add(self, row: Row) -> None:
        """Add *row*, or replace the row of the same cell, and write the files."""
        self.rows[row["cell"]] = row
        self.write()

    def complete(self, row: Row) -> None:
        """Take note that *row* will not change any more."""

    def collect(self) -> list[Row]:
        """Add the complete rows of other processes, and return them."""
        rows = self._folder.read_rows()
        for row in rows:
            self.add(row)
            self._folder.remove_row(row["cell"])
        return rows

    def document(self) -> dict[str, Any]:
        """Return everything, as plain values."""
        # In the order of the grid; the cells of earlier calls come last.
        last = len(self._order)
        rows = sorted(self.rows.values(), key=lambda row: self._order.get(row["cell"], last))
        return {
            "name": self._folder.path.resolve().name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self._command,
            "settings": self._settings,
            "cells": rows,
        }

    def write(self) -> None:
        """Write the three files, each whole or not at all."""
        document = self.document()
        rows = document["cells"]
        page = [f"# {document['name']}", "", f"`{self._command}`", "", *markdown(rows), ""]
        self._folder.write(document, as_csv(rows), "\n".join(page))


class RowsForFirst(Results):
    """The rows of a process beside process 0, which writes the results of all.

    Every complete row goes to a file, which process 0 collects.
    """

    def write(self) -> None:
        """Write nothing."""

    def complete(self, row: Row) -> None:
        """Give *row* to process 0."""
        self._folder.write_row(row)


def make_row(
    cell: Cell,
    result: CellResult | str,
    *,
    threads: int,
    commit: str | None,
    command: str,
) -> Row:
    """Return the row of *cell*.

    Args:
        cell: The cell.
        result: Its figures, or why it failed.
        threads: CPU threads of its process.
        commit: The commit of the program.
        command: The command lines that repeat it.
    """
    failed = isinstance(result, str)
    row: Row = {
        "cell": cell.name,
        "dataset": cell.dataset,
        "option": cell.option,
        "classes": list(cell.classes),
        "seed": cell.seed,
        "preset": cell.preset,
        "variant": cell.variant,
        "status": FAILED if failed else DONE,
        "error": result if failed else None,
    }
    source = {"threads": threads, "commit": commit, "command": command}
    if isinstance(result, str):
        return {**row, **source}
    return {**row, **result.as_dict(), **source, "baselines": None}


def _check_settings(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to mix results of different settings in one folder.

    The grid may grow: datasets, classes, seeds, presets and variants can be added.

    Raises:
        UsageError: Names the first setting that differs.
    """
    shared = before.get("variants", {}).keys() & now["variants"].keys()
    pairs = [(key, before.get(key), now[key]) for key in now if key != "variants"]
    pairs += [
        (f"variant {name}", before["variants"][name], now["variants"][name])
        for name in sorted(shared)
    ]
    for key, old, new in pairs:
        if old != new:
            raise UsageError(
                f"{folder} has results with other settings: {key} was {_shown(old)}, "
                f"and is now {_shown(new)}",
                "choose another output folder, or use the same settings",
            )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "nothing"
    return str(value)
