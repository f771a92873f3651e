"""The contract of trackers, which report a training elsewhere while it runs."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from bigan_cli.contracts.epoch_record import EpochRecord
from bigan_cli.contracts.options import AnyOptions, Options


@dataclass(frozen=True)
class TrackedRun:
    """The run that a tracker reports.

    Attributes:
        path: The run directory.
        folder: A folder in it for files of the tracker's own; not made yet.
        config: The complete configuration, as the tables of a config file.
        info: Device, precision, seed, versions, and the dataset with its image counts.
        epoch: Epochs that the first member has already: 0 of a new run.
        state: What :meth:`Tracker.on_start` returned when the run was new; empty of a new run.
    """

    path: Path
    folder: Path
    config: Mapping[str, Any]
    info: Mapping[str, Any]
    epoch: int = 0
    state: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackedResult:
    """How a training ended.

    Attributes:
        status: ``done``, ``interrupted`` (it may be resumed) or ``failed``.
        metrics: Name -> figure: of each member the best epoch and its validation error, and the
            duration in seconds.
        files: The files that describe the result: config.toml, metrics, curves, the best model.
    """

    status: Literal["done", "interrupted", "failed"]
    metrics: Mapping[str, float]
    files: Sequence[Path]


class Tracker(ABC):
    """Reports a training to an experiment tracker, such as MLflow.

    Its methods do nothing by default; a subclass defines those that it needs. They are called in
    the thread that trains, which waits for them. A tracker whose :meth:`on_start` raises ends the
    training before it begins. Where another method raises, the user is warned, the tracker is not
    called again, and the training continues.

    Class attributes:
        name: Unique, lower case, words joined by ``_``.
        summary: One line for tables.
        Options: Its typed options, the table ``[output.tracker_options.NAME]`` of a config file.
        provided_by: See :class:`Dataset`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[AnyOptions]] = Options
    provided_by: str = ""

    def __init__(self, options: AnyOptions) -> None:
        self.options: Any = options

    def on_start(self, run: TrackedRun) -> Mapping[str, str]:
        """The training of *run* begins or is resumed.

        Returns:
            What is needed to continue the report when the run is resumed, such as an identifier;
            it is stored in run.json.
        """
        return {}

    def on_epoch(self, record: EpochRecord, member: int) -> None:  # noqa: B027
        """An epoch of ensemble member number *member*, counted from 1, is finished.

        A resumed run may report epochs again that it had reported before it stopped.
        """

    def on_pictures(self, epoch: int, pictures: Mapping[str, Path]) -> None:  # noqa: B027
        """The pictures of *epoch* were saved; 0 is the untrained network.

        Args:
            epoch: Of the first member.
            pictures: PNG files by what they show: ``comparison`` (original, reconstruction,
                difference), ``fake`` (generated images), ``true`` (originals), ``test`` (test
                images with scores) and ``losses``, the curves.
        """

    def on_end(self, result: TrackedResult) -> None:  # noqa: B027
        """The training has ended; nothing is reported after this."""
