"""Trains the members of a run and writes its files: metrics, models, pictures, state."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bigan_cli.contracts.epoch_record import EpochRecord
from bigan_cli.data.prepare import PreparedData
from bigan_cli.data.unreadable import left_out_warning
from bigan_cli.errors import ProcessEndedError, TrainingError
from bigan_cli.model.diagnostics import TrainingDiagnostics, TrainingWarning, training_warnings
from bigan_cli.model.networks import Networks
from bigan_cli.model.trainer import Trainer
from bigan_cli.report.figures import losses as draw_losses
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.ensemble_member import TrainingProvenance
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.training_state import write_training_state
from bigan_cli.workflows.callbacks import Callbacks, TrainingStopped
from bigan_cli.workflows.resume import load_trainer_state
from bigan_cli.workflows.run_models import RunModels
from bigan_cli.workflows.run_pictures import RunPictures
from bigan_cli.workflows.trackers import Trackers

# However rarely models are saved, a killed process loses no more work than this.
_AUTOSAVE_SECONDS = 60.0


class TrainingSession:
    """Trains ensemble members of a run one after another and writes the run directory.

    Each member has its own trainer and training state, so a run can be resumed in the
    middle of any of them. Pictures and curves are the first member's.

    At every save the training state is written last: resuming trusts it, so everything that
    belongs to its epoch must be on disk before it.

    Args:
        run: Where to write. A member whose training state is there continues from it.
        data: The prepared images.
        models: Fits and writes the model files.
        make_trainer: Returns a new trainer for a member, counted from 0.
        callbacks: Receive members, epochs and warnings.
        trackers: Receive epochs and pictures.
        states: The run whose training states are continued; by default *run*.

    Attributes:
        all_saved: Whether a resumed run continues at the step where this one stopped.
    """

    def __init__(
        self,
        run: RunDirectory,
        data: PreparedData,
        models: RunModels,
        make_trainer: Callable[[int], Trainer],
        callbacks: Callbacks,
        trackers: Trackers,
        states: RunDirectory | None = None,
    ) -> None:
        self.run = run
        self.config = data.config
        self.models = models
        self.pictures = RunPictures(run, data)
        self.trained_epochs = 0
        self.all_saved = True
        self._stream = data.stream
        self._make_trainer = make_trainer
        self._callbacks = callbacks
        self._trackers = trackers
        self._states = states or run
        # In a directory of its own, a member's models and metrics join those of others later.
        self._alone = states is not None
        self._started = time.monotonic() - float(run.info().get("seconds", 0.0))

    def train(self, numbers: Iterable[int]) -> bool:
        """Train members to the end; return False if ``should_stop`` ended it before.

        Args:
            numbers: The members, counted from 0, in ascending order.

        Raises:
            TrainingError: Training diverged; the files of the last save stay.
            RunDirectoryError: A training state is damaged.
            ProcessEndedError: Another process of this training has ended.
        """
        for number in numbers:
            self._start_member(number)
            if not self._train_member():
                return False
        return True

    def end(self, *, finished: bool) -> None:
        """Record how the run ended, once all members that train at the same time have stopped."""
        if finished:
            self.number = self.config.train.members - 1
            self._remove_earlier_models()  # if this was killed after its last state
        self._write_status("done" if finished else "interrupted")
        self._warn_of_unreadable()

    def _start_member(self, number: int) -> None:
        """Make *number* the current member, from its training state if it has one."""
        self.number = number
        self.__dict__.pop("trainer", None)  # first, since a device may not hold two
        self.trainer = self._make_trainer(number)
        load_trainer_state(self.trainer, self._states.training_state(number))
        self._drop_later_metrics()
        self._best_written = 0
        self._state_written = time.monotonic()
        self._warned: set[str] = set()

    def _drop_later_metrics(self) -> None:
        """Remove the current member's records of epochs that will be trained again."""
        if self.run.metrics_file.exists():
            number, epoch = self.number + 1, self.trainer.epoch
            self.run.write_metrics(
                record
                for record in self.run.metrics()
                if record["member"] != number or record["epoch"] <= epoch
            )

    def _train_member(self) -> bool:
        """Train the current member to the end; return False if it was stopped before."""
        trainer, epochs = self.trainer, self.config.train.epochs
        if trainer.epoch >= epochs:
            self.run.write_info(members=self._described_members())
            return True
        self._callbacks.on_member(self.number, trainer.epoch)
        try:
            self.models.start(trainer.config.seed)
            if trainer.epoch == 0 and trainer.steps_done == 0:
                self._save_untrained()
            for record in trainer.epochs():
                self._finish_epoch(record)
        except TrainingStopped:
            # Stopped in the folds of cross-fitting, which a save of this epoch needs: resuming
            # continues from the state before.
            self.all_saved = False
            return False
        except ProcessEndedError:  # no fault of this training, which can be resumed
            self._write_status("interrupted")
            raise
        except TrainingError as error:
            self._write_status("failed")
            raise self._with_checkpoint(error) from error
        except Exception:
            with suppress(OSError):  # which may be what failed
                self._write_status("failed")
            raise
        if trainer.epoch < epochs:
            self._save_interrupted()
            return False
        return True

    def _finish_epoch(self, record: EpochRecord) -> None:
        self.trained_epochs += 1
        self.run.append_metrics({"member": self.number + 1, **dataclasses.asdict(record)})
        last = record.epoch == self.config.train.epochs
        if last or record.epoch % self.config.output.save_interval == 0:
            self.save(record.epoch)
        elif time.monotonic() - self._state_written > _AUTOSAVE_SECONDS:
            self.save_state()
        self._write_status("running")
        self._trackers.epoch(record, self.number + 1)
        self._callbacks.on_epoch(record)
        self._warn()
        self._warn_of_unreadable()

    def save(self, epoch: int) -> None:
        """Write the models, pictures and curves of *epoch*, then the training state."""
        self._callbacks.on_progress(f"saving epoch {epoch}", 0, None)
        file, keep = self.run.epoch_model(epoch), self.config.output.keep_models
        # Later members join the first one in the files that were kept.
        kept = keep != 0 if self.number == 0 or self._alone else file.exists()
        detector = self.save_models(epoch, *([file] if kept else []))
        if self.number == 0:
            self.pictures.save(epoch, detector)
            records = [record for record in self.run.metrics() if record["member"] == 1]
            draw_losses(self.run.claim(self.run.losses_file), records)
        self.save_state()
        if self.number == 0 or self._alone:
            self._remove_earlier_models()
        if self.number == 0:
            self._report_pictures(epoch)

    def _remove_earlier_models(self) -> None:
        keep = self.config.output.keep_models
        if keep != "all":
            self.run.remove_earlier_models(keep)

    def save_models(self, epoch: int, *more: Path) -> Detector:
        """Write the current averaged networks as the last, and the best if there is a new one.

        Args:
            epoch: Of the networks.
            more: Further model files to write them to.

        Returns:
            The detector of the last file written for *epoch*.
        """
        trainer = self.trainer
        member = self.models.fit(trainer.average, self._provenance(epoch, trainer.diagnostics))
        for path in (self.run.last_model, *more):
            detector = self.models.write(self.run.claim(path), member)
        best = trainer.best_epoch
        if best and best != self._best_written:
            of_best = member
            if best != epoch or trainer.steps_done:  # stopped some steps after it
                provenance = self._provenance(best, trainer.best_diagnostics)
                of_best = self.models.fit(self._best_networks(), provenance)
            self.models.write(self.run.claim(self.run.best_model), of_best)
            self._best_written = best
        return detector

    def save_state(self) -> None:
        """Write all that resuming needs."""
        file = self._states.claim(self._states.training_state(self.number))
        write_training_state(file, self.trainer.state())
        self._state_written = time.monotonic()

    def _save_untrained(self) -> None:
        """Write the networks at initialisation, to compare training with none."""
        member = self.models.fit(self.trainer.average, self._provenance(0, None))
        detector = self.models.write(self.run.claim(self.run.epoch_model(0)), member)
        if self.number == 0:
            self.pictures.save(0, detector)
        self.save_state()
        if self.number == 0:
            self._report_pictures(0)

    def _save_interrupted(self) -> None:
        """Write the training state and the models of a member that was stopped in an epoch."""
        # The state first, here: it cannot be computed again. Later saves complete the rest.
        self.save_state()
        # Members that were not trained at all are no part of an ensemble with trained ones.
        if self.trainer.epoch or self.number == 0:
            with suppress(TrainingStopped):  # a resumed run would train all folds again for this
                self.save_models(self.trainer.epoch)

    def _report_pictures(self, epoch: int) -> None:
        run = self.run
        folders = {"comparison": run.comparison, "fake": run.fake, "true": run.true}
        folders["test"] = run.test
        pictures = {name: run.epoch_picture(folder, epoch) for name, folder in folders.items()}
        self._trackers.pictures(epoch, {**pictures, "losses": run.losses_file})

    def _provenance(
        self, epoch: int, diagnostics: TrainingDiagnostics | None
    ) -> TrainingProvenance:
        return TrainingProvenance(self.trainer.config.seed, epoch, diagnostics)

    def _best_networks(self) -> Networks:
        networks: Networks = copy.deepcopy(self.trainer.average)
        networks.load_state_dict(self.trainer.best_weights)
        return networks

    def _warnings(self) -> tuple[TrainingWarning, ...]:
        return training_warnings(self.trainer.diagnostics) if self.trainer.diagnostics else ()

    def _warn(self) -> None:
        """Report what is wrong with the current member, each kind once."""
        members = self.config.train.members
        which = f"member {self.number + 1}/{members} " if members > 1 else ""
        for warning in self._warnings():
            if warning.name not in self._warned:
                self._warned.add(warning.name)
                self._callbacks.warn(f"{which}{warning}")

    def _warn_of_unreadable(self) -> None:
        """Report images that were found to be unreadable since the last call."""
        if self._stream is not None and (found := self._stream.new_unreadable()):
            self._callbacks.warn(left_out_warning(found, "training image"))

    def _described_members(self) -> list[dict[str, Any]]:
        """Return the entries of run.json with the current member's updated."""
        trainer = self.trainer
        entry = {
            "seed": trainer.config.seed,
            "epoch": trainer.epoch,
            "best_epoch": trainer.best_epoch,
            "best_validation": _finite(trainer.best_validation),
            "warnings": [warning.as_dict() for warning in self._warnings()],
        }
        of_seed = {member["seed"]: member for member in self.run.info().get("members", [])}
        of_seed[entry["seed"]] = entry
        return [of_seed[seed] for seed in sorted(of_seed)]

    def _write_status(self, status: str) -> None:
        members = self._described_members()
        first = members[0]
        self.run.write_info(
            status=status,
            epoch=self.trainer.epoch,
            epochs=self.config.train.epochs,
            member=self.number + 1,
            members_wanted=self.config.train.members,
            best_epoch=first["best_epoch"],
            best_validation=first["best_validation"],
            members=members,
            seconds=round(time.monotonic() - self._started, 1),
        )

    def _with_checkpoint(self, error: TrainingError) -> TrainingError:
        good = self.run.last_model if self.run.last_model.exists() else self.run.epoch_model(0)
        return TrainingError(f"{error.message}; last good checkpoint: {good}", error.hint)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
