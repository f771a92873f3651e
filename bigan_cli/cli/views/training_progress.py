"""Training progress: live bars on a terminal, one plain line per epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import human_time
from bigan_cli.model.epoch_record import EpochRecord

if TYPE_CHECKING:
    from rich.progress import TaskID


class TrainingDisplay:
    """Shows the progress of training; a context manager around it.

    The bars appear when the first ensemble member starts.

    Args:
        terminal: Where to show it.
        epochs: Epochs of each member.
        members: Members of the run.

    Attributes:
        started: Whether training has begun.
    """

    def __init__(self, terminal: Terminal, epochs: int, members: int = 1) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        self._terminal = terminal
        self._epochs = epochs
        self._members = members
        self._member = 0
        self._which = ""
        self._live = terminal.interactive
        self._progress = terminal.progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            # On a narrow terminal only this column is wrapped.
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=False)),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._tasks: list[TaskID] = []
        self.started = False
        self._drawn_at = 0.0
        self._started_at = 0.0
        self._trained = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def preparation(self, description: str, done: int, total: int | None) -> None:
        """Show how far the work before training is."""
        if not self._live or self.started:
            return
        if not self._tasks:
            self._progress.start()
            self._tasks = [self._progress.add_task(description, note="")]
        self._progress.update(self._tasks[0], description=description, completed=done, total=total)

    def member(self, number: int, epoch: int) -> None:
        """Show that member *number*, counted from 0, starts after *epoch* epochs."""
        if not self.started:
            self._start()
        self._member = number
        if self._members > 1:
            self._which = f"member {number + 1}/{self._members} "
        if self._live:
            self._progress.update(
                self._tasks[0], completed=epoch, description=f"{self._which}epochs", note=""
            )

    def _start(self) -> None:
        self.started = True
        self._started_at = time.monotonic()
        for task in self._tasks:
            self._progress.remove_task(task)
        self._tasks = [
            self._progress.add_task("epochs", total=self._epochs, note=""),
            self._progress.add_task("batches", total=None, note=""),
        ]
        self._progress.start()

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar of the current epoch, at most ten times a second."""
        now = time.monotonic()
        if not self._live or (now - self._drawn_at < 0.1 and step < steps):
            return
        self._drawn_at = now
        self._progress.update(self._tasks[1], completed=step, total=steps)
        self._progress.update(self._tasks[0], completed=epoch - 1)

    def epoch(self, record: EpochRecord) -> None:
        """Show the record of a finished epoch."""
        self._trained += 1
        losses = " ".join(
            f"{name}={record.losses[name]:.3f}"
            for name in ("d_loss", "eg_loss", "image_cycle")
            if name in record.losses
        )
        figures = f"{losses} validation={record.validation:.4f}"
        speed = f"{record.images_per_second:.0f} images/s"
        if self._live:
            best = " best" if record.best else ""
            self._progress.update(
                self._tasks[0], completed=record.epoch, note=f"{figures}{best} {speed}"
            )
            return
        self._terminal.note(
            f"{self._which}epoch {record.epoch}/{self._epochs} {figures} "
            f"{record.seconds:.1f}s {speed} eta={human_time(self._remaining(record.epoch))}"
        )

    def _remaining(self, epoch: int) -> float:
        left = self._epochs - epoch + (self._members - 1 - self._member) * self._epochs
        return (time.monotonic() - self._started_at) / self._trained * left
