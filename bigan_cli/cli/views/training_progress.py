"""How training shows itself: live bars on a terminal, one plain line per epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from bigan_cli.cli.terminal import Terminal
from bigan_cli.contracts import EpochRecord
from bigan_cli.formatting import human_time
from bigan_cli.model.diagnostics import TrainingWarning


class TrainingDisplay:
    """A context manager around training.

    Args:
        terminal: Where to show it.
        epochs: How many epochs each member of the run has in all.
        members: How many members the run has.
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
            # Where the terminal is narrow, this one is broken into lines, and no other.
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=False)),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._epoch_task = self._progress.add_task("epochs", total=epochs, note="")
        self._step_task = self._progress.add_task("batches", total=None, note="")
        self._shown = 0.0
        self._started = 0.0
        self._trained = 0

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def member(self, number: int, epoch: int) -> None:
        """Say that member *number*, counted from 0, is about to train on from *epoch*."""
        self._member = number
        if self._members > 1:
            self._which = f"member {number + 1}/{self._members} "
        if self._live:
            self._progress.update(
                self._epoch_task, completed=epoch, description=f"{self._which}epochs", note=""
            )

    def alarm(self, alarm: TrainingWarning) -> None:
        """Warn of what has gone wrong."""
        self._terminal.warn(f"{self._which}{alarm}")

    def step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar of the present epoch; drawn a few times a second at the most."""
        now = time.monotonic()
        if not self._live or (now - self._shown < 0.1 and step < steps):
            return
        self._shown = now
        self._progress.update(self._step_task, completed=step, total=steps)
        self._progress.update(self._epoch_task, completed=epoch - 1)

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
                self._epoch_task, completed=record.epoch, note=f"{figures}{best} {speed}"
            )
            return
        self._terminal.note(
            f"{self._which}epoch {record.epoch}/{self._epochs} {figures} "
            f"{record.seconds:.1f}s {speed} eta={human_time(self._remaining(record.epoch))}"
        )

    def _remaining(self, epoch: int) -> float:
        left = self._epochs - epoch + (self._members - 1 - self._member) * self._epochs
        return (time.monotonic() - self._started) / self._trained * left
