"""A training run: the trainer's records turned into the files of a run directory."""

from __future__ import annotations

import copy
import dataclasses
import io
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from bigan_cli.commands._pictures import RunPictures
from bigan_cli.contracts import EpochRecord, ScoreComponent
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.prepare import PreparedData
from bigan_cli.detect.detector import Detector
from bigan_cli.detect.fit import Normals, fit_detector
from bigan_cli.detect.ready import batch_size_for
from bigan_cli.errors import RunDirectoryError, TrainingError
from bigan_cli.files import atomic_write
from bigan_cli.model.networks import Networks
from bigan_cli.model.trainer import Trainer
from bigan_cli.modelfile import save_detector
from bigan_cli.plugins import Origin
from bigan_cli.report.figures import losses as draw_losses
from bigan_cli.rundir import RunDirectory

# However rarely models are saved, no more work than this is lost if the process is killed.
_AUTOSAVE_SECONDS = 60.0


class TrainingSession:
    """Runs a trainer and keeps its run directory up to date.

    Args:
        run: Where to write.
        trainer: What to run; already continued from a saved state when resuming.
        data: The prepared images.
        components: The score components to combine.
        made_with: Whence the run's plugins came.
    """

    def __init__(
        self,
        run: RunDirectory,
        trainer: Trainer,
        data: PreparedData,
        components: list[ScoreComponent],
        made_with: Sequence[Origin] = (),
    ) -> None:
        self.run = run
        self.trainer = trainer
        self.data = data
        self.config = data.config
        self.components = components
        self.made_with = made_with
        self.pictures = RunPictures(run, data)
        self._records = [r for r in run.metrics() if r["epoch"] <= trainer.epoch]
        self._best_written = 0
        self._state_written = time.monotonic()

    def train(self, on_epoch: Callable[[EpochRecord], None]) -> bool:
        """Train to the end; return False if it was stopped before.

        Args:
            on_epoch: Told every epoch's record, for a progress display.

        Raises:
            TrainingError: Training diverged; the files of the last save stay.
        """
        started = time.monotonic() - float(self._info().get("seconds", 0.0))
        if self.trainer.epoch == 0 and self.trainer.steps_done == 0:
            self._save_untrained()
        try:
            for record in self.trainer.epochs():
                self._records.append(dataclasses.asdict(record))
                self.run.write_metrics(self._records)
                last = record.epoch == self.config.train.epochs
                if last or record.epoch % self.config.output.save_interval == 0:
                    self.save(record.epoch)
                elif time.monotonic() - self._state_written > _AUTOSAVE_SECONDS:
                    self.save_state()
                self._write_status("running", started)
                on_epoch(record)
        except TrainingError as error:
            self._write_status("failed", started)
            raise self._with_checkpoint(error) from error
        finished = self.trainer.epoch >= self.config.train.epochs
        if not finished:
            self.save_models(self.trainer.epoch)
            self.save_state()
        self._write_status("done" if finished else "interrupted", started)
        return finished

    def save(self, epoch: int) -> None:
        """Write the models, the training state, the pictures and the curves of *epoch*."""
        detector = self.save_models(epoch)
        self._write_model(self.run.epoch_model(epoch), detector, epoch)
        self.save_state()
        self.pictures.save(epoch, detector)
        draw_losses(self.run.losses_file, self._records)

    def save_models(self, epoch: int) -> Detector:
        """Write the present averaged networks as the last, and the best if there is a new one."""
        detector = self._fit(self.trainer.average)
        self._write_model(self.run.last_model, detector, epoch)
        best = self.trainer.best_epoch
        if best and best != self._best_written:
            of_best = detector if best == epoch else self._fit(self._best_networks())
            self._write_model(self.run.best_model, of_best, best)
            self._best_written = best
        return detector

    def save_state(self) -> None:
        """Write all that ``--resume`` needs."""
        buffer = io.BytesIO()
        torch.save(self.trainer.state(), buffer)
        with atomic_write(self.run.training_state_file) as stream:
            stream.write(buffer.getbuffer())
        self._state_written = time.monotonic()

    def _save_untrained(self) -> None:
        """Write the network as it was drawn, so that training can be compared with none."""
        detector = self._fit(self.trainer.average)
        self._write_model(self.run.epoch_model(0), detector, 0)
        self.pictures.save(0, detector)
        self.save_state()

    def _fit(self, networks: Networks) -> Detector:
        return fit_detector(
            networks,
            self.components,
            self.config.score.weights,
            Normals(
                fit=self.data.fit.pixels,
                validation=self.data.validation.pixels,
                calibration=self.data.calibration.pixels,
            ),
            fpr=self.config.score.fpr,
            batch_size=batch_size_for(networks.image_shape),
            seed=self.config.train.seed,
        )

    def _best_networks(self) -> Networks:
        networks: Networks = copy.deepcopy(self.trainer.average)
        networks.load_state_dict(self.trainer.best_weights)
        return networks

    def _write_model(self, path: Path, detector: Detector, epoch: int) -> None:
        save_detector(
            path,
            detector,
            epoch=epoch,
            config=self.config,
            class_names=self.data.class_names,
            normal_classes=self.data.normal_classes,
            preprocessing=PREPROCESSING,
            fingerprint=self.data.fingerprint,
            made_with=self.made_with,
        )

    def _info(self) -> dict[str, Any]:
        return self.run.info() if self.run.run_file.exists() else {}

    def _write_status(self, status: str, started: float) -> None:
        self.run.write_info(
            status=status,
            epoch=self.trainer.epoch,
            epochs=self.config.train.epochs,
            best_epoch=self.trainer.best_epoch,
            best_validation=_finite(self.trainer.best_validation),
            seconds=round(time.monotonic() - started, 1),
        )

    def _with_checkpoint(self, error: TrainingError) -> TrainingError:
        good = self.run.last_model if self.run.last_model.exists() else self.run.epoch_model(0)
        return TrainingError(f"{error.message}; last good checkpoint: {good}", error.hint)


def load_training_state(run: RunDirectory) -> dict[str, Any]:
    """Return what :meth:`TrainingSession.save_state` wrote; runs no code from the file.

    Raises:
        RunDirectoryError: The run has no training state, or it is damaged.
    """
    path = run.training_state_file
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
            f"{path} is damaged: {error}", "start again with --overwrite"
        ) from error
    return state


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set *stop*; a second one interrupts at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
