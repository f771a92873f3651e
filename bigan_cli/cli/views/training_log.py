"""Training progress where there is no live display: plain lines."""

from __future__ import annotations

import time

from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.training_progress import TrainingProgress
from bigan_cli.contracts.epoch_record import EpochRecord
from bigan_cli.formatting import human_time

# Work that takes longer than the first gets a line, and another each time that the second passed.
_FIRST_LINE, _NEXT_LINE = 5.0, 30.0


class TrainingLog(TrainingProgress):
    """Prints a line per epoch and per fold, and now and then one of other work.

    Args:
        terminal: Where to print.
        epochs: As of :class:`TrainingProgress`.
        members: Likewise.
        selection: Likewise.
        save_interval: Likewise.
    """

    def __init__(
        self,
        terminal: Terminal,
        epochs: int,
        members: int = 1,
        selection: str = "validation",
        save_interval: int = 10,
    ) -> None:
        super().__init__(epochs, members, selection, save_interval)
        self._terminal = terminal
        self._which = ""
        self._next_line = 0.0

    def on_member(self, number: int, epoch: int) -> None:
        """As of the base class."""
        super().on_member(number, epoch)
        if self.members > 1:
            self._which = f"member {number + 1}/{self.members} "

    def on_progress(self, name: str, done: int, total: int | None) -> None:
        """As of the base class; prints a line where the work takes long."""
        before = self.activity
        super().on_progress(name, done, total)
        now = time.monotonic()
        if self.activity is not before:
            self._next_line = now + _FIRST_LINE
        elif now >= self._next_line:
            self._next_line = now + _NEXT_LINE
            of = "" if total is None else f" of {total}"
            unit = "step " if self.started and name.startswith(("epoch", "cross-fitting")) else ""
            self._terminal.note(f"{self._which}{name}: {unit}{done}{of}")

    def on_fold(self, fold: int, folds: int, step: int, steps: int) -> None:
        """As of the base class; prints a line after the last step."""
        super().on_fold(fold, folds, step, steps)
        if step == steps:
            left = self.remaining_folds()
            eta = f", {human_time(left)} left of cross-fitting" if left else ""
            self._terminal.note(f"{self._which}cross-fitting, fold {fold + 1}/{folds}: done{eta}")

    def on_epoch(self, record: EpochRecord) -> None:
        """As of the base class; prints a line."""
        super().on_epoch(record)
        losses = " ".join(
            f"{name}={record.losses[name]:.3f}"
            for name in ("d_loss", "eg_loss", "image_cycle")
            if name in record.losses
        )
        self._terminal.note(
            f"{self._which}epoch {record.epoch}/{self.epochs} {losses} "
            f"validation={record.validation:.4f} {record.seconds:.1f}s{self._speed(record)}"
            f"{self._eta()}"
        )

    def _speed(self, record: EpochRecord) -> str:
        # Of use to those who tune the speed; of networks on features, samples are no photographs.
        return f" {record.images_per_second:.0f} samples/s" if self._terminal.verbose else ""

    def _eta(self) -> str:
        remaining = self.remaining()
        return "" if remaining is None else f" eta={human_time(remaining)}"
