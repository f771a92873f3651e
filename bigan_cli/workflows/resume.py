"""Resuming a run: what is checked first, and the refit of a changed score."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from bigan_cli.errors import RunDirectoryError, UsageError, first_line
from bigan_cli.model.trainer import Trainer
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.training_state import read_training_state
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.run_info import now
from bigan_cli.workflows.run_models import RunModels
from bigan_cli.workflows.training_setup import TrainingSetup


def recorded_threads(run: RunDirectory, callbacks: Callbacks) -> int | None:
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


def load_trainer_state(trainer: Trainer, file: Path) -> None:
    """Continue from the training state in *file*; from the start where there is none.

    Raises:
        RunDirectoryError: The file is damaged, or of another run.
    """
    if not file.exists():
        return
    state = read_training_state(file)
    try:
        trainer.load_state(state)
    # Its checksum matches, but it is of other networks, or of another version.
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = first_line(error) if isinstance(error, ValueError) else type(error).__name__
        raise RunDirectoryError(
            f"{file} does not belong to this run ({reason})",
            "bring back its own, or start again with 'overwrite=True'",
        ) from error


def check_resumable(run: RunDirectory, setup: TrainingSetup) -> None:
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


def refit_stale_models(
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
                run.write_info(rescored=now())
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
