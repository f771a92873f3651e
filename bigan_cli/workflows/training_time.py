"""How long a training's steps take, measured on copies of its networks before it begins."""

from __future__ import annotations

import copy
from dataclasses import replace

from bigan_cli.formatting import count, human_time
from bigan_cli.model.rng import preserved_random_states
from bigan_cli.model.trainer import Trainer
from bigan_cli.workflows.training_setup import TrainingSetup


def expected_time(setup: TrainingSetup) -> str:
    """Return a line that says how long all steps take together; empty if that is not known.

    A few steps are tried. The networks of *setup* and the global random generators stay as they
    are. Where a step fails or is to be compiled, the line is empty: training itself reports the
    failure, and a second compilation would take minutes.
    """
    if setup.config.train.compile == "on":
        return ""
    trial = replace(setup)
    # What takes long to make is shared; the networks are copied, since the steps change them.
    trial.__dict__["features"] = setup.features
    trial.__dict__["networks"] = copy.deepcopy(setup.networks)
    try:
        with preserved_random_states():
            trainer = trial.trainer()
            return time_line(setup, trainer, trainer.try_step())
    except Exception:  # noqa: BLE001  of networks, which may be a plugin's
        return ""


def time_line(setup: TrainingSetup, trainer: Trainer, step_seconds: float) -> str:
    """Return the line for a measured step; a step of the decoder for pictures is tried."""
    config, folds = setup.config.train, setup.data.folds
    trainings = 1 if folds is None else 1 + len(set(folds.tolist()))
    steps = config.epochs * trainer.steps_per_epoch
    seconds = trainings * steps * step_seconds + config.epochs * trainer.try_decoder()
    total = human_time(config.members * seconds)
    each = f"{count(config.epochs, 'epoch')} of {count(trainer.steps_per_epoch, 'step')}"
    if trainings > 1:
        each += f", {trainings} times for cross-fitting"
    test = " and the self-test" if setup.networks.on_feature_map else ""
    return (
        f"training steps take about {total} ({each}); fitting and saving the score{test} add to it"
    )
