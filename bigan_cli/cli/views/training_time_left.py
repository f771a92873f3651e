"""How long a training still takes, from what its folds, epochs and saves took so far."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

# What a save takes, as a share of the first: 17 s and 7 s with 40 photographs of 384x512 pixels.
_LATER_SAVE = 0.45


@dataclass
class _Mean:
    """The mean duration of a kind of work, of which parts may be measured."""

    seconds: float = 0.0
    number: float = 0.0

    def add(self, seconds: float, number: float = 1.0) -> None:
        self.seconds += seconds
        self.number += number

    @property
    def value(self) -> float | None:
        """Seconds each; None if none was measured."""
        return self.seconds / self.number if self.number > 0 else None


class TimeLeft:
    """Measures each kind of work, and estimates what is left once all kinds are measured.

    An epoch includes the training of a decoder and the validation after its steps, so it is
    measured whole. Before the first step of a member its untrained networks are saved, which takes
    longer than other saves: score components are fitted and pictures drawn for the first time.

    Args:
        epochs: Epochs of each member.
        save_interval: Epochs between saves; there is one after the last.

    Attributes:
        epochs_done: Of the current member, with the finished share of the current one.
    """

    def __init__(self, epochs: int, save_interval: int) -> None:
        self.epochs_done = 0.0
        self._epochs = epochs
        self._save_interval = save_interval
        self._fold, self._epoch, self._save, self._first_save = _Mean(), _Mean(), _Mean(), _Mean()
        self._between_folds = _Mean()
        self._folds = 0
        self.start(0)

    def start(self, epoch: int) -> None:
        """A member starts after *epoch* epochs."""
        self._last = time.monotonic()
        self.epochs_done = epoch
        self._folds_done = 0.0
        self._stepped = False
        self._saving = False
        self._step_seconds = self._other_seconds = 0.0  # of the current epoch
        self._measured_from = 0.0

    def fold(self, done: float, folds: int) -> None:
        """So many *folds* of cross-fitting are *done*, in parts as well."""
        self._folds = folds
        if math.ceil(done) > math.ceil(self._folds_done):
            # The first step of a fold. Before it the networks of the last one were looked at, and
            # these are, untrained: before the first fold that is half as much.
            self._between_folds.add(self._lap(), 1.0 if self._folds_done else 0.5)
        else:
            self._fold.add(self._lap(), done - self._folds_done)
        self._folds_done = done

    def step(self, done: float) -> None:
        """A step was trained, after which so many epochs are *done*, in parts as well."""
        if self._stepped:
            self._step_seconds += self._lap()
        else:
            self._stepped = True
            self._measured_from = done
            self._first_save.add(self._lap())
        self.epochs_done = done

    def saving(self) -> None:
        """A save of the epoch begins."""
        self._other_seconds += self._lap()
        self._saving = True

    def epoch(self, epoch: int) -> None:
        """The epoch is finished, and saved where it is to be."""
        if self._saving:
            self._save.add(self._lap())
        else:
            self._other_seconds += self._lap()
        # The first step of a member, and those of an earlier process, are not measured.
        share = epoch - self._measured_from
        if share > 0:
            self._epoch.add(self._step_seconds / share + self._other_seconds)
        self.epochs_done = self._measured_from = epoch
        self._step_seconds, self._other_seconds, self._saving = 0.0, 0.0, False

    def of_folds(self) -> float | None:
        """Return the seconds left of cross-fitting; None until a fold is finished."""
        if self._folds_done < 1:
            return None
        return self._folds_left()

    def of_training(self, members: int) -> float | None:
        """Return the seconds left of the current member and *members* more, saves included.

        None until an epoch is finished.
        """
        epoch, save = self._epoch.value, self._save.value
        first_save = self._first_save.value or 0.0
        if epoch is None:
            return None
        if save is None:
            save = first_save * _LATER_SAVE
        started = self._stepped and self._folds_done in (0, self._folds)
        own = (self._epochs - self.epochs_done) * epoch + self._saves(self.epochs_done) * save
        another = self._epochs * epoch + self._saves(0) * save + first_save
        folds = members * self._all_folds() + (0 if started else self._folds_left())
        return own + members * another + folds + (0 if self._stepped else first_save)

    def _folds_left(self) -> float:
        """Return the seconds left of the current member's cross-fitting."""
        begun = math.ceil(self._folds_done)
        steps = (self._folds - self._folds_done) * (self._fold.value or 0.0)
        return steps + (self._folds - begun) * (self._between_folds.value or 0.0)

    def _all_folds(self) -> float:
        """Return the seconds of the cross-fitting of another member."""
        return self._folds * ((self._fold.value or 0.0) + (self._between_folds.value or 0.0))

    def _saves(self, after: float) -> int:
        """Return how many saves there are after so many epochs."""
        whole, interval = int(after), self._save_interval
        regular = self._epochs // interval - whole // interval
        return regular + (self._epochs % interval > 0 and whole < self._epochs)

    def _lap(self) -> float:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return seconds
