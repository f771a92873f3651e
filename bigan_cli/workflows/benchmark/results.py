"""The rows of a benchmark, those of earlier calls included, and their files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bigan_cli.report.benchmark import markdown
from bigan_cli.report.benchmark_csv import as_csv
from bigan_cli.storage.benchmark_directory import BenchmarkDirectory
from bigan_cli.workflows.benchmark.grid import Grid, Request, check_settings

Row = dict[str, Any]


class Results:
    """All rows of a benchmark, those of earlier calls included, and their files."""

    def __init__(self, folder: BenchmarkDirectory, request: Request, grid: Grid) -> None:
        self._folder = folder
        before = folder.read()
        if before is not None:
            check_settings(before["settings"], grid.settings, folder.path)
        old: Mapping[str, Any] = before or {"settings": {}, "cells": []}
        variants = {**old["settings"].get("variants", {}), **grid.settings["variants"]}
        self.settings = {**grid.settings, "variants": variants}
        self.command = command_of(request)
        self.rows: dict[str, Row] = {row["cell"]: row for row in old["cells"]}
        self._order = {cell.name: i for i, cell in enumerate(grid.cells)}

    def document(self) -> dict[str, Any]:
        """Return everything, in terms that JSON has."""
        # Whatever order they finished in: that of the grid, then what earlier calls added.
        last = len(self._order)
        rows = sorted(self.rows.values(), key=lambda row: self._order.get(row["cell"], last))
        return {
            "name": self._folder.path.resolve().name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.command,
            "settings": self.settings,
            "cells": rows,
        }

    def write(self) -> None:
        """Write the three files, each whole or not at all."""
        document = self.document()
        rows = document["cells"]
        page = [f"# {document['name']}", "", f"`{self.command}`", "", *markdown(rows), ""]
        self._folder.write(document, as_csv(rows), "\n".join(page))


def command_of(request: Request) -> str:
    """Return the command line of a benchmark, without what differs from machine to machine."""
    words = ["bigan", "benchmark"]
    repeated: Mapping[str, Sequence[object]] = {
        "--dataset": request.datasets,
        "--inlier": request.inlier,
        "--outlier": request.outlier,
        "--seed": request.seeds,
        "--preset": request.presets,
        "--variant": request.variants,
        "--set": request.sets,
        "--plugin": [path.name for path in request.plugins],
        "--config": [] if request.config is None else [request.config.name],
        "--device": [] if request.device is None else [request.device],
    }
    for option, values in repeated.items():
        for value in values:
            words += [option, str(value)]
    return shlex.join([*words, *(["--baselines"] if request.baselines else [])])
