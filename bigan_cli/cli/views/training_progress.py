"""The state of a training while it runs: what is done, how it goes, how long it still takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bigan_cli.cli.views.training_time_left import TimeLeft
from bigan_cli.contracts.epoch_record import EpochRecord


@dataclass
class Activity:
    """One piece of work.

    Attributes:
        name: What is being done.
        done: How much is done.
        total: How much there is; None if that is not known.
        started: When it started, by ``time.monotonic()``.
    """

    name: str
    done: int
    total: int | None
    started: float

    @property
    def share(self) -> float | None:
        """The share that is done; None if that is not known."""
        return self.done / self.total if self.total else None

    def remaining(self, now: float) -> float | None:
        """Return the seconds left at time *now*; None if that cannot be estimated."""
        share = self.share
        return (now - self.started) * (1 - share) / share if share else None


class TrainingProgress:
    """Follows a training through the callbacks of its workflow; a context manager around it.

    Subclasses show it.

    Args:
        epochs: Epochs of each ensemble member.
        members: Members of the run.
        selection: ``"validation"`` or ``"last"``: which epoch's networks score images.
        save_interval: Epochs between saves.

    Attributes:
        started: Whether the training of the first member has begun.
        member: Number of the current member, from 0.
        epoch: Finished epochs of the current member.
        record: The record of the last epoch, if any.
        best: The best record by validation, if any.
        validation: The validation error after each epoch of the current member trained here.
        warnings: Names of the signs of failure after the last epoch.
        activity: What is being done now, if anything.
    """

    def __init__(
        self,
        epochs: int,
        members: int = 1,
        selection: str = "validation",
        save_interval: int = 10,
    ) -> None:
        self.epochs = epochs
        self.members = members
        self.selection = selection
        self.started = False
        self.member = 0
        self.epoch = 0
        self.record: EpochRecord | None = None
        self.best: EpochRecord | None = None
        self.validation: list[float] = []
        self.warnings: tuple[str, ...] = ()
        self.activity: Activity | None = None
        self._time = TimeLeft(epochs, save_interval)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def on_progress(self, name: str, done: int, total: int | None) -> None:
        """Work besides training: reading images, computing features, saving, the self-test."""
        now = time.monotonic()
        if name.startswith("saving epoch"):
            self._time.saving()
        if self.activity is None or self.activity.name != name:
            self.activity = Activity(name, done, total, now)
        else:
            self.activity.done, self.activity.total = done, total

    def on_member(self, number: int, epoch: int) -> None:
        """Member *number*, counted from 0, starts after *epoch* epochs."""
        self.started = True
        self.member, self.epoch = number, epoch
        self.record = self.best = self.activity = None
        self.validation = []
        self.warnings = ()
        self._time.start(epoch)

    def on_fold(self, fold: int, folds: int, step: int, steps: int) -> None:
        """A training step of cross-fitting, for fold number *fold*, counted from 0."""
        self._time.fold(fold + step / steps, folds)
        self.on_progress(f"cross-fitting, fold {fold + 1}/{folds}", step, steps)

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        """A training step."""
        self.epoch = epoch - 1
        self._time.step(epoch - 1 + step / steps)
        self.on_progress(f"epoch {epoch}", step, steps)

    def on_epoch(self, record: EpochRecord) -> None:
        """An epoch is finished and saved."""
        self.epoch = record.epoch
        self._time.epoch(record.epoch)
        self.record = record
        if record.best:
            self.best = record
        self.validation.append(record.validation)
        self.warnings = _warnings(record)
        self.activity = None

    @property
    def share(self) -> float:
        """The finished share of the current member's own epochs."""
        return min(1.0, max(self._time.epochs_done, self.epoch) / self.epochs)

    def remaining(self) -> float | None:
        """Return the seconds that training still takes, saves included; None until known."""
        return self._time.of_training(self.members - 1 - self.member)

    def remaining_folds(self) -> float | None:
        """Return the seconds that cross-fitting still takes; None until known."""
        return self._time.of_folds()


def _warnings(record: EpochRecord) -> tuple[str, ...]:
    """Return the names of the signs of failure after an epoch, in words."""
    if not record.extra:
        return ()
    from bigan_cli.model.diagnostics import TrainingDiagnostics, training_warnings

    found = training_warnings(TrainingDiagnostics.from_dict(record.extra))
    return tuple(warning.name.replace("_", " ") for warning in found)
