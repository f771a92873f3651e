"""How a workflow reports while it runs: notes, warnings, progress, finished epochs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from bigan_cli.contracts.epoch_record import EpochRecord

_LOGGER = logging.getLogger("bigan_cli")


class BiganWarning(UserWarning):
    """Something may be wrong with the data, the training or the result."""


class TrainingStopped(Exception):  # noqa: N818  no error: it was asked for
    """``should_stop`` ended work that cannot be continued later, such as cross-fitting."""


def _warn(text: str) -> None:
    # 3: past this function and the workflow, to the public function that was called.
    warnings.warn(text, BiganWarning, stacklevel=3)


def _ignore(*_values: object) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Callbacks:
    """Functions that a workflow calls; each has a default suited to a library.

    Attributes:
        note: Receives one line worth knowing; logged at INFO by default.
        detail: Receives one line of detail; logged at DEBUG by default.
        warn: Receives one line about what may be wrong; a :class:`BiganWarning` by default.
        on_progress: Receives (what is being done, how many are done, how many in all or None).
        on_step: Receives (epoch, step, steps of the epoch) after every training step.
        on_fold: Receives (fold from 0, folds, step, steps of the fold) after every training step
            of cross-fitting.
        on_member: Receives (number of the ensemble member from 0, epochs it already has) before
            its training starts.
        on_epoch: Receives the record of each finished epoch.
        should_stop: Asked often; True ends the work early, with everything saved.
    """

    note: Callable[[str], None] = _LOGGER.info
    detail: Callable[[str], None] = _LOGGER.debug
    warn: Callable[[str], None] = _warn
    on_progress: Callable[[str, int, int | None], None] = _ignore
    on_step: Callable[[int, int, int], None] = _ignore
    on_fold: Callable[[int, int, int, int], None] = _ignore
    on_member: Callable[[int, int], None] = _ignore
    on_epoch: Callable[[EpochRecord], None] = _ignore
    should_stop: Callable[[], bool] = _never
