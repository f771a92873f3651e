"""A training run: the trainers' records turned into the files of a run directory."""

from __future__ import annotations

import copy
import dataclasses
import io
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch

from bigan_cli.atomic import atomic_write
from bigan_cli.contracts import EpochRecord
from bigan_cli.data.prepare import PreparedData
from bigan_cli.errors import RunDirectoryError, TrainingError
from bigan_cli.model.diagnostics import TrainingDiagnostics, TrainingWarning, alarms
from bigan_cli.model.networks import Networks
from bigan_cli.model.trainer import Trainer
from bigan_cli.report.figures import losses as draw_losses
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.ensemble_member import Origin
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.run_models import RunModels
from bigan_cli.workflows.run_pictures import RunPictures

# However rarely models are saved, no more work than this is lost if the process is killed.
_AUTOSAVE_SECONDS = 60.0


class Watcher(Protocol):
    """Whom a session tells how it is getting on."""

    def member(self, number: int, epoch: int) -> None:
        """EnsembleMember *number*, counted from 0, is about to train on from *epoch*."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch of that member is finished."""

    def alarm(self, alarm: TrainingWarning) -> None:
        """Something has gone wrong with that member; told once for each kind."""


class TrainingSession:
    """Trains the members of a run, one after another, and keeps its run directory up to date.

    Each member has a trainer and a training state of its own, so that a run can be continued in
    the middle of any of them. Pictures and curves are those of the first.

    Args:
        run: Where to write. A member that has a training state there is continued from it.
        data: The prepared images.
        models: Fits and writes the models.
        make_trainer: Returns a new trainer for a member, counted from 0.
        watcher: Told how it is getting on.
    """

    def __init__(
        self,
        run: RunDirectory,
        data: PreparedData,
        models: RunModels,
        make_trainer: Callable[[int], Trainer],
        watcher: Watcher,
    ) -> None:
        self.run = run
        self.config = data.config
        self.models = models
        self.pictures = RunPictures(run, data)
        self.trained_epochs = 0
        self._make_trainer = make_trainer
        self._watcher = watcher
        info = run.info() if run.run_file.exists() else {}
        self._members: list[dict[str, Any]] = list(info.get("members", []))
        self._started = time.monotonic() - float(info.get("seconds", 0.0))

    def train(self) -> bool:
        """Train all members to the end; return False if they were stopped before.

        Raises:
            TrainingError: Training diverged; the files of the last save stay.
            RunDirectoryError: A training state is damaged.
        """
        for number in range(self.config.train.members):
            self._take_up(number)
            if not self._train_member():
                self._write_status("interrupted")
                return False
        self._write_status("done")
        return True

    def _take_up(self, number: int) -> None:
        """Make member *number* the present one."""
        self.number = number
        self.__dict__.pop("trainer", None)  # first, since a device may not hold two
        self.trainer = self._make_trainer(number)
        if self.run.training_state(number).exists():
            self.trainer.load_state(load_training_state(self.run, number))
        self._records = [
            record
            for record in self.run.metrics()
            if record.get("member", 1) != number + 1 or record["epoch"] <= self.trainer.epoch
        ]
        self._best_written = 0
        self._state_written = time.monotonic()
        self._alarmed: set[str] = set()

    def _train_member(self) -> bool:
        """Train the present member to the end; return False if it was stopped before."""
        trainer, epochs = self.trainer, self.config.train.epochs
        if trainer.epoch >= epochs:
            self._describe_member()
            return True
        self._watcher.member(self.number, trainer.epoch)
        if trainer.epoch == 0 and trainer.steps_done == 0:
            self._save_untrained()
        try:
            for record in trainer.epochs():
                self._finish_epoch(record)
        except TrainingError as error:
            self._write_status("failed")
            raise self._with_checkpoint(error) from error
        except Exception:
            with suppress(OSError):  # which may be what failed
                self._write_status("failed")
            raise
        if trainer.epoch < epochs:
            # First what took longest to come by.
            self.save_state()
            # An untrained network is no member for others that are trained.
            if trainer.epoch or self.number == 0:
                self.save_models(trainer.epoch)
            return False
        return True

    def _finish_epoch(self, record: EpochRecord) -> None:
        self.trained_epochs += 1
        self._records.append({"member": self.number + 1, **dataclasses.asdict(record)})
        self._records.sort(key=lambda row: (row.get("member", 1), row["epoch"]))
        self.run.write_metrics(self._records)
        last = record.epoch == self.config.train.epochs
        if last or record.epoch % self.config.output.save_interval == 0:
            self.save(record.epoch)
        elif time.monotonic() - self._state_written > _AUTOSAVE_SECONDS:
            self.save_state()
        self._write_status("running")
        self._watcher.epoch(record)
        for alarm in self._alarms():
            if alarm.name not in self._alarmed:
                self._alarmed.add(alarm.name)
                self._watcher.alarm(alarm)

    def save(self, epoch: int) -> None:
        """Write the models, the training state, the pictures and the curves of *epoch*."""
        detector = self.save_models(epoch, self.run.epoch_model(epoch))
        self.save_state()
        if self.number == 0:
            self.pictures.save(epoch, detector)
            draw_losses(self.run.losses_file, [r for r in self._records if r.get("member", 1) == 1])

    def save_models(self, epoch: int, *more: Path) -> Detector:
        """Write the present averaged networks as the last, and the best if there is a new one.

        Args:
            epoch: Of the networks.
            more: Other model files that they go into.
        """
        trainer = self.trainer
        member = self.models.fit(trainer.average, self._origin(epoch, trainer.health))
        for path in (self.run.last_model, *more):
            detector = self.models.write(path, member)
        best = trainer.best_epoch
        if best and best != self._best_written:
            of_best = member
            if best != epoch or trainer.steps_done:  # stopped some steps after it
                origin = self._origin(best, trainer.best_health)
                of_best = self.models.fit(self._best_networks(), origin)
            self.models.write(self.run.best_model, of_best)
            self._best_written = best
        return detector

    def save_state(self) -> None:
        """Write all that ``--resume`` needs."""
        buffer = io.BytesIO()
        torch.save(self.trainer.state(), buffer)
        with atomic_write(self.run.training_state(self.number)) as stream:
            stream.write(buffer.getbuffer())
        self._state_written = time.monotonic()

    def _save_untrained(self) -> None:
        """Write the network as it was drawn, so that training can be compared with none."""
        member = self.models.fit(self.trainer.average, self._origin(0, None))
        detector = self.models.write(self.run.epoch_model(0), member)
        if self.number == 0:
            self.pictures.save(0, detector)
        self.save_state()

    def _origin(self, epoch: int, health: TrainingDiagnostics | None) -> Origin:
        return Origin(self.trainer.config.seed, epoch, health)

    def _best_networks(self) -> Networks:
        networks: Networks = copy.deepcopy(self.trainer.average)
        networks.load_state_dict(self.trainer.best_weights)
        return networks

    def _alarms(self) -> tuple[TrainingWarning, ...]:
        return alarms(self.trainer.health) if self.trainer.health else ()

    def _describe_member(self) -> None:
        """Put the present member into what run.json says of the members."""
        trainer = self.trainer
        said = {
            "seed": trainer.config.seed,
            "epoch": trainer.epoch,
            "best_epoch": trainer.best_epoch,
            "best_validation": _finite(trainer.best_validation),
            "alarms": [alarm.as_dict() for alarm in self._alarms()],
        }
        self._members[self.number : self.number + 1] = [said]

    def _write_status(self, status: str) -> None:
        self._describe_member()
        first = self._members[0]
        self.run.write_info(
            status=status,
            epoch=self.trainer.epoch,
            epochs=self.config.train.epochs,
            member=self.number + 1,
            members_wanted=self.config.train.members,
            best_epoch=first["best_epoch"],
            best_validation=first["best_validation"],
            members=self._members,
            seconds=round(time.monotonic() - self._started, 1),
        )

    def _with_checkpoint(self, error: TrainingError) -> TrainingError:
        good = self.run.last_model if self.run.last_model.exists() else self.run.epoch_model(0)
        return TrainingError(f"{error.message}; last good checkpoint: {good}", error.hint)


def check_training_state(run: RunDirectory) -> None:
    """Raise RunDirectoryError if *run* has nothing to continue from."""
    load_training_state(run, 0)


def load_training_state(run: RunDirectory, member: int) -> dict[str, Any]:
    """Return what :meth:`TrainingSession.save_state` wrote of *member*; runs no code from it.

    Raises:
        RunDirectoryError: The run has no training state, or it is damaged.
    """
    path = run.training_state(member)
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunDirectoryError(
            f"{run.path} has nothing to resume ({path.name} missing)",
            "start again with --overwrite",
        ) from error
    except Exception as error:
        # A damaged file fails in many ways (zip, pickle, end of file), none of them a defect here.
        raise RunDirectoryError(
            f"{path} is damaged ({type(error).__name__})", "start again with --overwrite"
        ) from error
    return state


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGINT, SIGTERM and a terminal that is closed set *stop*; a second one interrupts."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    # Windows has no SIGHUP, and nohup has it ignored, which is to stay so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
