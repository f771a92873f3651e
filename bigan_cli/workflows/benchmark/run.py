"""Run a benchmark: every cell in a separate process, with results written after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bigan_cli.atomic import remove_stale_temporaries, write_lock
from bigan_cli.process_rank import rank_and_size
from bigan_cli.storage.benchmark_directory import BenchmarkDirectory
from bigan_cli.workflows.benchmark.cell import CellResult, compute_baselines, run_cell
from bigan_cli.workflows.benchmark.grid import Cell, Grid
from bigan_cli.workflows.benchmark.plan import FINISHED, plan, state_of
from bigan_cli.workflows.benchmark.processes import Outcome, ProcessPool, Task
from bigan_cli.workflows.benchmark.provenance import benchmark_command, cell_command, commit
from bigan_cli.workflows.benchmark.results import DONE, Results, Row, RowsForFirst, make_row
from bigan_cli.workflows.callbacks import Callbacks

# Seconds between two looks for the files of other processes.
_POLL = 0.2


@dataclass(frozen=True)
class Progress:
    """How far a benchmark is.

    Attributes:
        done: Cells that have ended, those of earlier calls included.
        total: All cells.
        seconds_left: Estimate of the time to the end.
    """

    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class BenchmarkResult:
    """How a benchmark ended.

    Attributes:
        output: The folder of the benchmark.
        status: ``"done"`` if every cell was run, failed ones included; ``"interrupted"`` where
            ``should_stop`` ended it, with all work saved.
        rows: The rows of this call's cells that have one.
        total: The number of this call's cells.
        failed: The rows without a requested result: the run, or its baselines.
        document: The contents of results.json.
    """

    output: Path
    status: Literal["done", "interrupted"]
    rows: tuple[Row, ...]
    total: int
    failed: tuple[Row, ...]
    document: Mapping[str, Any]

    @property
    def finished(self) -> int:
        """The number of this call's cells that were trained and evaluated."""
        return sum(row["status"] == DONE for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Return the contents of results.json."""
        return dict(self.document)


def benchmark(
    grid: Grid,
    *,
    output: Path = Path("benchmark-results"),
    jobs: int = 1,
    baselines: bool = False,
    on_row: Callable[[Row, Progress], None] = lambda _row, _progress: None,
    callbacks: Callbacks | None = None,
) -> BenchmarkResult:
    """Train and evaluate every cell of *grid* that is not finished, and write the results.

    Each cell is run in a spawned process, so a script that calls this must be guarded by
    ``if __name__ == "__main__"``. A cell that fails or crashes fails alone. What an earlier call
    finished is not run again, and what it left unfinished is resumed.

    Several processes (``RANK`` and ``WORLD_SIZE``, as torchrun sets them) that call this with the
    same arguments run every so many-th cell each. They need *output* in common and no connection:
    process 0 writes the results of all, and receives their rows.

    Args:
        grid: From :func:`~bigan_cli.workflows.benchmark.grid.make_grid`.
        output: The folder for runs and results.
        jobs: How many cells run at a time; they share the cores.
        baselines: Whether to add classical detectors on the same images.
        on_row: Receives each finished row.
        callbacks: Only ``should_stop`` is used: it saves and stops all cells.

    Raises:
        UsageError: The folder has results with other settings.
        RunDirectoryError: It holds something else, or another process writes into it.
        DeviceError: A device does not exist.
        KeyboardInterrupt: Raised by a second signal; all processes have been killed.
    """
    callbacks = callbacks or Callbacks()
    if rank_and_size()[0] > 0:
        return _run_beside(
            grid, output, jobs=jobs, baselines=baselines, should_stop=callbacks.should_stop
        )
    folder = BenchmarkDirectory(output)
    command = benchmark_command(grid, baselines=baselines)
    results = Results(folder, grid, command)
    planned = plan(grid, output=output, baselines=baselines)
    stopped = False
    if not all(each.finished for each in planned):
        _check_devices(grid)
        with write_lock(output):
            remove_stale_temporaries(output)
            results = Results(folder, grid, command)  # again: another call may just have ended
            results.write()
            run = _Run(folder, grid, results, jobs=jobs, baselines=baselines, on_row=on_row)
            stopped = run.run(callbacks.should_stop)
    return _result(grid, output, results, stopped=stopped, baselines=baselines)


def _run_beside(
    grid: Grid, output: Path, *, jobs: int, baselines: bool, should_stop: Callable[[], bool]
) -> BenchmarkResult:
    """Run the cells of a process beside process 0, once that has made the folder."""
    folder = BenchmarkDirectory(output)
    while not folder.results_file.exists() and not should_stop():
        time.sleep(_POLL)
    results = RowsForFirst(folder, grid, benchmark_command(grid, baselines=baselines))
    _check_devices(grid)
    run = _Run(
        folder, grid, results, jobs=jobs, baselines=baselines, on_row=lambda _row, _progress: None
    )
    stopped = run.run(should_stop)
    return _result(grid, output, results, stopped=stopped, baselines=baselines)


def _result(
    grid: Grid, output: Path, results: Results, *, stopped: bool, baselines: bool
) -> BenchmarkResult:
    rows = tuple(results.rows[cell.name] for cell in grid.cells if cell.name in results.rows)
    failed = tuple(row for row in rows if row["error"] and (row["status"] != DONE or baselines))
    status: Literal["done", "interrupted"] = "interrupted" if stopped else "done"
    return BenchmarkResult(output, status, rows, len(grid.cells), failed, results.document())


class _Run:
    """Runs the unfinished cells of one call.

    Baselines depend on the images and the seed alone: they are computed once for each.
    """

    def __init__(
        self,
        folder: BenchmarkDirectory,
        grid: Grid,
        results: Results,
        *,
        jobs: int,
        baselines: bool,
        on_row: Callable[[Row, Progress], None],
    ) -> None:
        self._folder = folder
        self._grid = grid
        self._results = results
        self._baselines = baselines
        self._on_row = on_row
        self._cells = {cell.name: cell for cell in grid.cells}
        rank, size = rank_and_size()
        if rank == 0:
            results.collect()  # what an earlier call left
        unfinished = {
            cell.name
            for cell in grid.cells
            if state_of(results.rows.get(cell.name), folder.run(cell.name), baselines=baselines)
            != FINISHED
        }
        self._waiting = [cell for cell in grid.cells[rank::size] if cell.name in unfinished]
        # Of other processes, as process 0 waits for them.
        self._elsewhere = unfinished - {cell.name for cell in self._waiting} if rank == 0 else set()
        self._planned = len(self._waiting) + len(self._elsewhere)
        self._pool = ProcessPool(min(jobs, max(len(self._waiting), 1)))
        self._commit = commit()
        self._figures: dict[str, Any] = {}
        self._without_figures: dict[str, list[Row]] = {}
        self._reported = 0
        self._started = time.monotonic()

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Run all cells; return whether they were stopped before the end."""
        with self._pool as pool:
            for cell in self._waiting:
                before = self._results.rows.get(cell.name)
                if before is not None and before["status"] == DONE:
                    self._add_baselines({**before, "error": None})
                else:
                    pool.submit(self._cell_task(cell))
            for outcome in pool.outcomes(should_stop):
                if outcome.reply.stopped:
                    continue
                if outcome.task.function is run_cell:
                    self._finish_cell(outcome)
                else:
                    self._finish_baselines(outcome)
                self._collect()
        while self._elsewhere and not should_stop():
            time.sleep(_POLL)
            self._collect()
        return self._reported < self._planned

    def _collect(self) -> None:
        """Add the rows of other processes."""
        for row in self._results.collect() if self._elsewhere else ():
            if row["cell"] in self._elsewhere:
                self._elsewhere.remove(row["cell"])
                self._report(row)

    def _cell_task(self, cell: Cell) -> Task:
        path = self._folder.run(cell.name).path
        arguments = (cell, self._grid.shared, path)
        return Task(cell.name, run_cell, arguments, self._folder.log(cell.name))

    def _finish_cell(self, outcome: Outcome) -> None:
        cell, reply = self._cells[outcome.task.name], outcome.reply
        row = make_row(
            cell,
            reply.value if isinstance(reply.value, CellResult) else str(reply.error),
            threads=self._pool.threads,
            commit=self._commit,
            command=cell_command(cell, self._grid.shared),
        )
        self._results.add(row)
        if self._baselines and row["status"] == DONE:
            self._add_baselines(row)
        else:
            self._report(row)

    def _add_baselines(self, row: Row) -> None:
        """Add the baselines to *row* if they are known; else when they are."""
        key = f"{row['data_fingerprint']} {row['seed']}"
        if key in self._figures:
            self._complete(row, self._figures[key])
        elif key in self._without_figures:
            self._without_figures[key].append(row)
        else:
            self._without_figures[key] = [row]
            name = row["cell"]
            shared = self._grid.shared
            arguments = (self._folder.run(name).path, shared.data_root, shared.plugins)
            task = Task(key, compute_baselines, arguments, self._folder.log(name))
            self._pool.submit(task, first=True)

    def _finish_baselines(self, outcome: Outcome) -> None:
        key, reply = outcome.task.name, outcome.reply
        if reply.error is None:
            self._figures[key] = reply.value
        for row in self._without_figures.pop(key):
            if reply.error is None:
                self._complete(row, reply.value)
            else:  # the trained networks still count
                self._complete({**row, "error": f"no baselines: {reply.error}"}, None)

    def _complete(self, row: Row, figures: Any) -> None:
        complete = {**row, "baselines": figures}
        self._results.add(complete)
        self._report(complete)

    def _report(self, row: Row) -> None:
        self._results.complete(row)
        self._reported += 1
        left = self._planned - self._reported
        seconds = (time.monotonic() - self._started) / self._reported * left
        total = len(self._grid.cells)
        self._on_row(row, Progress(total - left, total, seconds))


def _check_devices(grid: Grid) -> None:
    """Refuse a missing device before anything is written; torch is slow to import."""
    for device in dict.fromkeys(cell.device for cell in grid.cells):
        if device not in ("auto", "cpu"):
            from bigan_cli.model.device import resolve_device

            resolve_device(device)
