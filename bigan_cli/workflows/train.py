"""Train a run, or continue one; or plan one and write nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from bigan_cli.atomic import check_unlocked, write_lock, write_text
from bigan_cli.config.load import LoadedConfig
from bigan_cli.errors import ProcessEndedError
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.profile import STEPS_NEEDED, ProfileRow, StepProfiler
from bigan_cli.model.summary import summarise
from bigan_cli.plugins import PluginVersion
from bigan_cli.plugins.faults import plugin_faults
from bigan_cli.storage.member_directories import member_directories, remove_member_directory
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.assist_training import members_beside
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.ensemble_union import join_member, join_members
from bigan_cli.workflows.model_self_test import test_finished_run
from bigan_cli.workflows.prepare_training import prepare_training
from bigan_cli.workflows.resume import check_resumable, recorded_threads, refit_stale_models
from bigan_cli.workflows.run_config import stale_models
from bigan_cli.workflows.run_info import initial_run_info
from bigan_cli.workflows.run_models import RunModels, make_run_models
from bigan_cli.workflows.trackers import Trackers
from bigan_cli.workflows.training_result import TrainingPlan, TrainingResult
from bigan_cli.workflows.training_session import TrainingSession
from bigan_cli.workflows.training_setup import TrainingSetup
from bigan_cli.workflows.training_summary import advice_on_steps, describe
from bigan_cli.workflows.training_time import expected_time, time_line

_OnStep = Callable[[int, int, int], None]


def train(
    loaded: LoadedConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    profile: bool = False,
    self_test: bool = False,
    callbacks: Callbacks | None = None,
    group: ProcessGroup | None = None,
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
        group: The processes of this training, of which this one is process 0; the others call
            :func:`~bigan_cli.workflows.assist_training.assist`.

    Raises:
        BiganError: The run cannot be started or continued, or training failed; what was saved
            until then stays.
    """
    callbacks, group = callbacks or Callbacks(), group or ProcessGroup()
    beside = members_beside(loaded, group)
    started = time.monotonic()
    run = RunDirectory(loaded.config.output.save_dir)
    threads = None
    check_unlocked(run.path)
    if resume:
        threads = recorded_threads(run, callbacks)
    else:
        run.check_free(overwrite=overwrite)
    with prepare_training(loaded, callbacks, threads, group, beside=beside) as setup:
        profiler = StepProfiler(setup.device) if profile else None
        make_trainer = partial(
            setup.trainer,
            should_stop=callbacks.should_stop,
            on_step=_profiled(callbacks.on_step, profiler),
        )
        # Made before the run directory, so that what cannot be trained leaves nothing behind.
        trainers = {0: make_trainer(0)}
        trackers = Trackers(setup.config.output.trackers, setup.config, loaded.registry, callbacks)
        models = make_run_models(setup, loaded)
        time_needed = "" if resume or group.size > 1 else expected_time(setup)
        with write_lock(run.path):
            if resume:
                check_resumable(run, setup)
                _announce(setup, None, "", callbacks, group.size)
                refitted = _refit_all(run, loaded, models, callbacks)
            else:
                run = _create_run(run.path, setup, overwrite=overwrite)
                refitted = 0
                _announce(setup, trainers[0].steps_per_epoch, time_needed, callbacks, group.size)
            _record_setup(run, setup, (*models.plugin_versions, *trackers.versions))
            run.remove_stale_temporaries()
            trackers.start(run)
            session = TrainingSession(
                run,
                setup.data,
                models,
                lambda member: trainers.pop(member, None) or make_trainer(member),
                callbacks,
                trackers,
            )
            try:
                with plugin_faults(setup.architecture, "training", own_code=True):
                    finished = _train_members(session, models, group, beside=beside)
                rows = _write_profile(run, profiler, callbacks) if profiler is not None else ()
                found = test_finished_run(run, setup, callbacks) if finished and self_test else None
            finally:
                trackers.end(run)
    return TrainingResult(
        run=run.path,
        status="done" if finished else "interrupted",
        epochs=session.trained_epochs,
        refitted=refitted,
        seconds=time.monotonic() - started,
        info=run.info(),
        all_saved=session.all_saved,
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
        time_needed = time_line(setup, trainer, seconds)
        _announce(setup, trainer.steps_per_epoch, time_needed, callbacks)
        return TrainingPlan(setup.config, tuple(layers), trainer.steps_per_epoch, seconds)


def _create_run(path: Path, setup: TrainingSetup, *, overwrite: bool) -> RunDirectory:
    """Return the directory of a new run, without the members of an earlier one."""
    run = RunDirectory.create(path, overwrite=overwrite)
    for earlier in member_directories(run).values():
        remove_member_directory(earlier)
    run.write_info(status="running", **initial_run_info(setup))
    return run


def _record_setup(
    run: RunDirectory, setup: TrainingSetup, plugins: Iterable[PluginVersion]
) -> None:
    """Write the resolved configuration, and the versions of the plugins."""
    run.write_config(setup.config)
    run.write_info(plugin_versions=[each.as_dict() for each in plugins])


def _refit_all(
    run: RunDirectory, loaded: LoadedConfig, models: RunModels, callbacks: Callbacks
) -> int:
    """Fit a changed score to the models of the run and of its members; return to how many."""
    return sum(
        refit_stale_models(each, models, stale_models(each, loaded), callbacks)
        for each in (run, *member_directories(run).values())
    )


def _announce(
    setup: TrainingSetup,
    steps_per_epoch: int | None,
    time_needed: str,
    callbacks: Callbacks,
    processes: int = 1,
) -> None:
    """Note what will be trained; of a new run, also how long it takes, and that steps are few."""
    lines = [*describe(setup, processes), *([time_needed] if time_needed else [])]
    if steps_per_epoch is not None:
        lines += advice_on_steps(setup.config, setup.config.train.epochs * steps_per_epoch)
    for line in lines:
        callbacks.note(line)


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


def _train_members(
    session: TrainingSession, models: RunModels, group: ProcessGroup, *, beside: bool
) -> bool:
    """Train the members, or this process's part of them; return whether all were finished."""
    run, members = session.run, session.config.train.members
    step = group.size if beside else 1
    if beside:
        group.any(flag=False)  # the others wait for the run directory
    for number in range(0, members, step):
        join_member(run, models, number)  # of a training on more processes
        finished = session.train([number])
        if not finished:
            break
    if beside:
        finished = _all_finished(session, group, finished=finished)
    if finished:
        join_members(run, models)
    session.end(finished=finished)
    return finished


def _all_finished(session: TrainingSession, group: ProcessGroup, *, finished: bool) -> bool:
    """Wait for the members of the other processes; return whether all were finished."""
    try:
        return not group.any(flag=not finished)
    except ProcessEndedError:
        session.end(finished=False)
        raise
