"""What a benchmark would run, and what is left to do for each of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bigan_cli.storage.benchmark_directory import BenchmarkDirectory
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.benchmark.cell import can_resume, status_of
from bigan_cli.workflows.benchmark.grid import Cell, Grid
from bigan_cli.workflows.benchmark.provenance import cell_command
from bigan_cli.workflows.benchmark.results import DONE, Results, Row

FINISHED = "finished"


@dataclass(frozen=True)
class PlannedCell:
    """A cell before it is run.

    Attributes:
        cell: The cell.
        state: What exists and what is left to do, in a few words.
        command: The equivalent command lines.
    """

    cell: Cell
    state: str
    command: str

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == FINISHED


def plan(grid: Grid, *, output: Path, baselines: bool = False) -> tuple[PlannedCell, ...]:
    """Return what ``benchmark`` would do with the same arguments; writes nothing.

    Raises:
        UsageError: The folder *output* has results with other settings.
        RunDirectoryError: It holds something else.
    """
    folder = BenchmarkDirectory(output)
    rows = Results(folder, grid, "").rows
    return tuple(
        PlannedCell(
            cell,
            state_of(rows.get(cell.name), folder.run(cell.name), baselines=baselines),
            cell_command(cell, grid.shared, folder.run(cell.name).path),
        )
        for cell in grid.cells
    )


def state_of(before: Row | None, run: RunDirectory, *, baselines: bool) -> str:
    """Return the work left for a cell.

    Args:
        before: Its row of an earlier call, or None.
        run: Its run directory.
        baselines: Whether baselines are requested.
    """
    if before is not None and before["status"] == DONE:
        return "baselines to add" if baselines and not before.get("baselines") else FINISHED
    if before is not None:
        return "to be tried again"
    if can_resume(run):
        return "to be resumed"
    return "to be evaluated" if status_of(run) == DONE else "new"
