"""Train a run, or continue one; or plan one and write nothing."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from bigan_cli import __version__
from bigan_cli.atomic import expanded, write_lock, write_text
from bigan_cli.config.load import LoadedConfig
from bigan_cli.config.schema import RunConfig
from bigan_cli.data.prepare import PreparedData
from bigan_cli.errors import RunDirectoryError, UsageError
from bigan_cli.model.diagnostics import TrainingWarning
from bigan_cli.model.profile import STEPS_NEEDED, ProfileRow, StepProfiler
from bigan_cli.model.summary import LayerRow, summarise
from bigan_cli.plugins.faults import plugin_faults
from bigan_cli.scoring.calibration import calibration_method, calibration_promise
from bigan_cli.storage.model_file import load_detector
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.training_state import read_training_state
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.fold_training import FoldTraining
from bigan_cli.workflows.run_config import stale_models
from bigan_cli.workflows.run_models import RunModels
from bigan_cli.workflows.score_config import plugin_versions_of
from bigan_cli.workflows.self_test import SelfTest
from bigan_cli.workflows.self_test import self_test as run_self_test
from bigan_cli.workflows.training_session import TrainingSession
from bigan_cli.workflows.training_setup import (
    TrainingSetup,
    advice_on_steps,
    describe,
    prepare_training,
)

_OnStep = Callable[[int, int, int], None]


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        run: The run directory.
        status: ``"done"``, or ``"interrupted"`` where ``should_stop`` ended it; all work is
            saved, and the run can be resumed.
        epochs: Epochs trained by this call, over all ensemble members.
        refitted: Model files to which a changed score was fitted.
        seconds: What the call took.
        info: The contents of run.json.
        profile: The profile of a step; empty unless requested.
        self_test: Which synthetic defects are found; None unless requested.
    """

    run: Path
    status: Literal["done", "interrupted"]
    epochs: int
    refitted: int
    seconds: float
    info: Mapping[str, Any]
    profile: tuple[ProfileRow, ...] = ()
    self_test: SelfTest | None = None

    @property
    def members(self) -> tuple[Mapping[str, Any], ...]:
        """The ensemble members: seed, epochs, best epoch and its validation figure."""
        return tuple(self.info["members"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with the networks at the end of training, one line each."""
        several = len(self.members) > 1
        return tuple(
            f"{f'member {number}, ' if several else ''}at the end of training: "
            f"{TrainingWarning(**warning)}"
            for number, member in enumerate(self.members, 1)
            for warning in member["warnings"]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the run's path and the contents of run.json, as plain values."""
        rows = {"profile": [row.as_dict() for row in self.profile]} if self.profile else {}
        return {"run": str(self.run), **self.info, **rows}


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would do.

    Attributes:
        config: The complete configuration.
        layers: The layers of the networks.
        steps_per_epoch: Training steps of an epoch.
        seconds_per_step: What a step takes after warm-up.
    """

    config: RunConfig
    layers: tuple[LayerRow, ...]
    steps_per_epoch: int
    seconds_per_step: float

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {
            "config": self.config.model_dump(mode="json", by_alias=True),
            "layers": [row.as_dict() for row in self.layers],
            "steps_per_epoch": self.steps_per_epoch,
            "seconds_per_step": self.seconds_per_step,
        }


def train(
    loaded: LoadedConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    profile: bool = False,
    self_test: bool = False,
    callbacks: Callbacks | None = None,
) -> TrainingResult:
    """Train a run from the start, or from where it stopped.

    Args:
        loaded: The configuration; its ``output.save_dir`` is the run directory. To resume a run
            it is that of :func:`run_config.load`.
        resume: Continue the run; without a saved state it starts from the beginning.
        overwrite: Replace a run that is there.
        profile: Measure where a step's time goes, and write a trace.
        self_test: Test a finished run with synthetic defects, where it is on photographs.
        callbacks: Receive progress and warnings, and may stop the training.

    Raises:
        BiganError: The run cannot be started or continued, or training failed; what was saved
            until then stays.
    """
    callbacks = callbacks or Callbacks()
    started = time.monotonic()
    run = RunDirectory(loaded.config.output.save_dir)
    threads = None
    if resume:
        threads = _recorded_threads(run, callbacks)
    else:
        run.check_free(overwrite=overwrite)
    with prepare_training(loaded, callbacks, threads) as setup:
        profiler = StepProfiler(setup.device) if profile else None
        make_trainer = partial(
            setup.trainer,
            should_stop=callbacks.should_stop,
            on_step=_profiled(callbacks.on_step, profiler),
        )
        # Made before the run directory, so that what cannot be trained leaves nothing behind.
        trainers = {0: make_trainer(0)}
        models = _run_models(setup, loaded)
        with write_lock(run.path):
            refitted = 0
            if resume:
                _check_resumable(run, setup)
                _announce(setup, None, callbacks)
                refitted = _refit(run, models, stale_models(run, loaded), callbacks)
            else:
                run = RunDirectory.create(run.path, overwrite=overwrite)
                run.write_info(status="running", **_run_info(setup))
                _announce(setup, trainers[0].steps_per_epoch, callbacks)
            run.write_config(setup.config)
            run.write_info(plugin_versions=[each.as_dict() for each in models.plugin_versions])
            run.remove_stale_temporaries()
            session = TrainingSession(
                run,
                setup.data,
                models,
                lambda member: trainers.pop(member, None) or make_trainer(member),
                callbacks,
            )
            with plugin_faults(setup.architecture, "training", own_code=True):
                finished = session.train()
            rows = _write_profile(run, profiler, callbacks) if profiler is not None else ()
            found = _self_test(run, setup) if finished and self_test else None
    return TrainingResult(
        run=run.path,
        status="done" if finished else "interrupted",
        epochs=session.trained_epochs,
        refitted=refitted,
        seconds=time.monotonic() - started,
        info=run.info(),
        profile=tuple(rows),
        self_test=found,
    )


def plan(loaded: LoadedConfig, callbacks: Callbacks | None = None) -> TrainingPlan:
    """Read the images, build the networks and try a step; nothing is written.

    Raises:
        BiganError: The training would fail.
    """
    callbacks = callbacks or Callbacks()
    with prepare_training(loaded, callbacks) as setup:
        layers = summarise(setup.networks)
        trainer = setup.trainer()
        seconds = trainer.try_step()
        _announce(setup, trainer.steps_per_epoch, callbacks)
        return TrainingPlan(setup.config, tuple(layers), trainer.steps_per_epoch, seconds)


def _announce(setup: TrainingSetup, steps_per_epoch: int | None, callbacks: Callbacks) -> None:
    """Note what will be trained; of a new run, also that its steps are few."""
    lines = describe(setup)
    if steps_per_epoch is not None:
        lines += advice_on_steps(setup.config, setup.config.train.epochs * steps_per_epoch)
    for line in lines:
        callbacks.note(line)


def _self_test(run: RunDirectory, setup: TrainingSetup) -> SelfTest | None:
    """Test the run's best model; None for networks on pixels, or where a file is missing."""
    files = (run.best_model, run.epoch_model(0))
    if not setup.networks.on_feature_map or not all(file.is_file() for file in files):
        return None
    trained, untrained = (load_detector(file, setup.device, setup.registry) for file in files)
    return run_self_test(run, setup.data.calibration.pixels, trained=trained, untrained=untrained)


def _profiled(on_step: _OnStep, profiler: StepProfiler | None) -> _OnStep:
    """Return *on_step* preceded by *profiler*, which counts the steps."""
    if profiler is None:
        return on_step

    def both(epoch: int, step: int, steps: int) -> None:
        profiler()
        on_step(epoch, step, steps)

    return both


def _write_profile(
    run: RunDirectory, profiler: StepProfiler, callbacks: Callbacks
) -> Sequence[ProfileRow]:
    rows = profiler.finish()
    if rows:
        write_text(run.claim(run.profile_file), profiler.trace())
        callbacks.note(f"trace: {run.profile_file} (for chrome://tracing or ui.perfetto.dev)")
    else:
        callbacks.warn(f"there were too few steps for a profile, which needs {STEPS_NEEDED}")
    return rows


def _run_models(setup: TrainingSetup, loaded: LoadedConfig) -> RunModels:
    reopen = partial(load_detector, device=setup.device, registry=setup.registry)
    versions = plugin_versions_of(setup.config, loaded.registry)
    held_out = None if setup.data.folds is None else FoldTraining(setup).maps
    return RunModels(setup.data, setup.normals, setup.components, reopen, versions, held_out)


def _refit(
    run: RunDirectory, models: RunModels, stale: Sequence[Path], callbacks: Callbacks
) -> int:
    """Fit the changed score to the networks in the model files *stale*; return their number.

    If the first cannot be fitted, nothing changes. Once it is, the configuration has the new
    score, too: if this is interrupted, the next resume does the rest.
    """
    done = 0
    try:
        for done, path in enumerate(stale):
            callbacks.note(f"fitting the changed score to {path.name} ({done + 1}/{len(stale)})")
            models.refit(path)
            if not done:
                run.write_config(models.config)
                run.write_info(rescored=_now())
    except KeyboardInterrupt:
        if done:
            callbacks.note(
                f"{len(stale) - done} of {len(stale)} model files still have the previous score; "
                "resume the run again to change them"
            )
        raise
    if stale and run.evaluation_file.exists():
        callbacks.note(f"{run.stats} has results of the previous score: evaluate the run again")
    return len(stale)


def _recorded_threads(run: RunDirectory, callbacks: Callbacks) -> int | None:
    """Return the number of CPU threads that *run* was trained with, to continue it exactly."""
    recorded = run.info().get("threads")
    if not isinstance(recorded, int):
        return None
    if "OMP_NUM_THREADS" in os.environ:
        present = torch.get_num_threads()
    else:
        present = min(recorded, os.cpu_count() or 1)
    if present != recorded:
        callbacks.warn(
            f"the run was trained with {recorded} CPU threads and continues with {present}: the "
            "last digits of its weights will differ from those of an uninterrupted run"
        )
        return None
    return recorded


def _check_resumable(run: RunDirectory, setup: TrainingSetup) -> None:
    """Refuse to continue with other images, or to fewer epochs than were trained.

    Raises:
        RunDirectoryError: The training state is missing or damaged, or the images have changed.
        UsageError: Fewer epochs are wanted than were trained.
    """
    if run.has_progress():
        read_training_state(run.training_state(0))
    trained_on = run.info().get("data", {}).get("fingerprint")
    if trained_on is not None and trained_on != setup.data.fingerprint:
        # They would be split again, and held-out images could be trained on.
        raise RunDirectoryError(
            f"the images of {setup.data.dataset_name}{_region(setup)} are not those that "
            f"{run.path} was trained on",
            "bring them back, or start a new run in another 'output.save_dir'",
        )
    trained = max((record["epoch"] for record in run.metrics()), default=0)
    wanted = setup.config.train.epochs
    if wanted < trained:
        raise UsageError(
            f"{trained} epochs were trained in {run.path}, more than 'train.epochs={wanted}'",
            f"pass 'train.epochs={trained}' or more, or another 'output.save_dir' for a new run",
        )


def _region(setup: TrainingSetup) -> str:
    return "" if setup.data.roi is None else ", or the region of interest in them,"


def _run_info(setup: TrainingSetup) -> dict[str, Any]:
    data, config = setup.data, setup.config
    return {
        "argv": sys.argv[1:],
        "folder": str(expanded(config.output.save_dir).absolute()),
        "started": _now(),
        "seed": config.train.seed,
        "device": str(setup.device),
        "precision": setup.precision,
        "threads": torch.get_num_threads(),
        "versions": {
            "bigan": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "data": {
            "dataset": data.dataset_name,
            "protocol": data.protocol,
            "fingerprint": data.fingerprint,
            "test_fingerprint": data.test_fingerprint,
            "image_shape": str(data.image_shape),
            "normal_classes": [data.class_names[k] for k in data.normal_classes],
            "images": setup.image_counts,
            "calibration": _calibration_info(data),
            "audit": data.audit.as_dict(),
        },
        "parameters": setup.parameters,
        "epoch": 0,
        "epochs": config.train.epochs,
    }


def _calibration_info(data: PreparedData) -> dict[str, Any]:
    """Return how the threshold is calibrated, and what holds for the false-positive rate."""
    cross_fitted = data.folds is not None
    return {
        "method": calibration_method(cross_fitted=cross_fitted),
        "images": len(data.calibration),
        "folds": 0 if data.folds is None else len(set(data.folds.tolist())),
        "promise": calibration_promise(cross_fitted=cross_fitted),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
