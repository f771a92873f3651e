"""The part of the processes beside process 0 in a training on several processes."""

from __future__ import annotations

from functools import partial

from bigan_cli.config.load import LoadedConfig
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.plugins.faults import plugin_faults
from bigan_cli.storage.member_directories import make_member_directory
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks, TrainingStopped
from bigan_cli.workflows.prepare_training import prepare_training
from bigan_cli.workflows.resume import load_trainer_state, recorded_threads
from bigan_cli.workflows.run_models import make_run_models
from bigan_cli.workflows.trackers import Trackers
from bigan_cli.workflows.training_session import TrainingSession
from bigan_cli.workflows.training_setup import TrainingSetup


def members_beside(loaded: LoadedConfig, group: ProcessGroup) -> bool:
    """Return whether each process trains members of its own; else all train one together."""
    return group.size > 1 and loaded.config.train.members > 1


def assist(
    loaded: LoadedConfig, group: ProcessGroup, *, resume: bool = False, callbacks: Callbacks
) -> bool:
    """Take part in the training of process 0, which calls ``train`` with the same arguments.

    Returns once process 0 has ended.

    Args:
        loaded: The configuration.
        group: The processes.
        resume: Whether the run is continued.
        callbacks: Only ``on_member`` and ``should_stop`` are used.

    Returns:
        Whether this process's part was trained to the end; False if any process was asked to stop.

    Raises:
        BiganError: The training failed.
        ProcessEndedError: Another process has ended.
    """
    run = RunDirectory(loaded.config.output.save_dir)
    threads = recorded_threads(run, callbacks) if resume else None
    beside = members_beside(loaded, group)
    with (
        prepare_training(loaded, callbacks, threads, group, beside=beside) as setup,
        plugin_faults(setup.architecture, "training", own_code=True),
    ):
        if beside:
            finished = _train_members(loaded, setup, run, group, callbacks)
        else:
            finished = _train_rows(loaded, setup, run, callbacks, resume=resume)
    group.wait_for_first()
    return finished


def _train_rows(
    loaded: LoadedConfig,
    setup: TrainingSetup,
    run: RunDirectory,
    callbacks: Callbacks,
    *,
    resume: bool,
) -> bool:
    """Train on this process's rows of every batch, and this process's folds of cross-fitting."""
    trainer, epochs = setup.trainer(should_stop=callbacks.should_stop), setup.config.train.epochs
    if resume:
        load_trainer_state(trainer, run.training_state(0))
    if trainer.epoch < epochs:
        callbacks.on_member(0, trainer.epoch)
        try:
            make_run_models(setup, loaded).start(trainer.config.seed)
        except TrainingStopped:
            return False
        for _ in trainer.epochs():
            pass  # process 0 saves meanwhile; the next step waits for it
    return trainer.epoch >= epochs


def _train_members(
    loaded: LoadedConfig,
    setup: TrainingSetup,
    run: RunDirectory,
    group: ProcessGroup,
    callbacks: Callbacks,
) -> bool:
    """Train this process's members, each in a directory of its own."""
    _ = setup.features  # which process 0 computes now, too: together with the others
    models = make_run_models(setup, loaded)
    group.any(flag=False)  # from now on the run directory exists
    make_trainer = partial(setup.trainer, should_stop=callbacks.should_stop)
    finished = True
    for number in range(group.rank, setup.config.train.members, group.size):
        session = TrainingSession(
            make_member_directory(run, number),
            setup.data,
            models,
            make_trainer,
            callbacks,
            Trackers((), setup.config, loaded.registry, callbacks),
            states=run,
        )
        finished = session.train([number])
        if not finished:
            break
    return not group.any(flag=not finished)
