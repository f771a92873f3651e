"""Training with its progress on the terminal, which a signal stops after saving."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace

import typer

from bigan_cli.cli.callbacks import plain_callbacks
from bigan_cli.cli.signals import stop_on_signals
from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.training import show_interrupted_at_once
from bigan_cli.cli.views.training_live import LiveTraining
from bigan_cli.cli.views.training_log import TrainingLog
from bigan_cli.config.load import LoadedConfig
from bigan_cli.errors import INTERRUPTED
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.workflows.assist_training import assist
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.train import train as run_training
from bigan_cli.workflows.training_result import TrainingResult


def assist_quietly(loaded: LoadedConfig, group: ProcessGroup, *, resume: bool) -> None:
    """Take part in the training of process 0, and show nothing.

    Raises:
        typer.Exit: The training was interrupted.
    """
    with ExitStack() as stack:
        stops: list[threading.Event] = []

        def on_member(_number: int, _epoch: int) -> None:
            if not stops:
                stops.append(stack.enter_context(stop_on_signals()))

        callbacks = Callbacks(
            note=_ignore,
            detail=_ignore,
            warn=_ignore,
            on_member=on_member,
            should_stop=lambda: bool(stops) and stops[0].is_set(),
        )
        if not assist(loaded, group, resume=resume, callbacks=callbacks):
            raise typer.Exit(INTERRUPTED)


def _ignore(_text: str) -> None:
    pass


def train_live(
    terminal: Terminal, loaded: LoadedConfig, group: ProcessGroup, **options: bool
) -> TrainingResult:
    """Train and show the progress; from the first step on, a signal asks it to save and stop."""
    train, save_dir = loaded.config.train, loaded.config.output.save_dir
    show = LiveTraining if terminal.interactive else TrainingLog
    with ExitStack() as stack:
        progress = stack.enter_context(
            show(
                terminal,
                train.epochs,
                train.members,
                train.selection,
                loaded.config.output.save_interval,
            )
        )
        stops: list[threading.Event] = []
        announced = False

        def on_member(number: int, epoch: int) -> None:
            if not stops:
                stops.append(stack.enter_context(stop_on_signals()))
            progress.on_member(number, epoch)

        def should_stop() -> bool:
            nonlocal announced
            stopped = bool(stops) and stops[0].is_set()
            if stopped and not announced:
                announced = True
                terminal.note("stopping after a save; interrupt again to stop at once")
            return stopped

        callbacks = replace(
            plain_callbacks(terminal),
            on_progress=progress.on_progress,
            on_member=on_member,
            on_fold=progress.on_fold,
            on_step=progress.on_step,
            on_epoch=progress.on_epoch,
            should_stop=should_stop,
        )
        try:
            return run_training(loaded, callbacks=callbacks, group=group, **options)
        except KeyboardInterrupt:
            if progress.started or options["resume"]:
                show_interrupted_at_once(terminal, save_dir)
            raise
