"""The state of a training while it runs: what is done, how it goes, how long it still takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

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

    def __init__(self, epochs: int, members: int = 1, selection: str = "validation") -> None:
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
        self._time = _WorkTime()

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
        self._time.epoch(epoch - 1 + step / steps)
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
        """Return the seconds that training still takes; None if that cannot be estimated."""
        return self._time.remaining(self.epochs, self.members - 1 - self.member)


def _warnings(record: EpochRecord) -> tuple[str, ...]:
    """Return the names of the signs of failure after an epoch, in words."""
    if not record.extra:
        return ()
    from bigan_cli.model.diagnostics import TrainingDiagnostics, training_warnings

    found = training_warnings(TrainingDiagnostics.from_dict(record.extra))
    return tuple(warning.name.replace("_", " ") for warning in found)


class _WorkTime:
    """Measures what an epoch and a fold of cross-fitting take, pauses for saves included."""

    def __init__(self) -> None:
        self.epochs_done = 0.0
        self._last = time.monotonic()
        self._folds = 0
        self._folds_done = 0.0
        self._fold_seconds = self._epoch_seconds = 0.0
        self._folds_measured = self._epochs_measured = 0.0

    def start(self, epoch: int) -> None:
        self._last = time.monotonic()
        self.epochs_done = epoch
        self._folds_done = 0.0

    def fold(self, done: float, folds: int) -> None:
        self._folds = folds
        self._folds_measured += done - self._folds_done
        self._folds_done = done
        self._fold_seconds += self._lap()

    def epoch(self, done: float) -> None:
        self._epochs_measured += done - self.epochs_done
        self.epochs_done = done
        self._epoch_seconds += self._lap()

    def _lap(self) -> float:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return seconds

    def remaining(self, epochs: int, members: int) -> float | None:
        """Return the seconds left of the current member and of *members* more."""
        each_fold = each_epoch = 0.0
        if self._folds_measured:
            each_fold = self._fold_seconds / self._folds_measured
            each_epoch = each_fold / epochs
        if self._epochs_measured:
            each_epoch = self._epoch_seconds / self._epochs_measured
        if not each_epoch:
            return None
        folds_left = max(0.0, self._folds - self._folds_done) if self._folds_done else 0.0
        folds_left += members * self._folds
        epochs_left = epochs - self.epochs_done + members * epochs
        return folds_left * each_fold + epochs_left * each_epoch
