"""Training with live progress on the terminal, which a signal stops after saving."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace

from bigan_cli.cli.callbacks import plain_callbacks
from bigan_cli.cli.signals import stop_on_signals
from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.training import resume_command
from bigan_cli.cli.views.training_progress import TrainingDisplay
from bigan_cli.config.load import LoadedConfig
from bigan_cli.workflows.train import TrainingResult
from bigan_cli.workflows.train import train as run_training


def train_live(terminal: Terminal, loaded: LoadedConfig, **options: bool) -> TrainingResult:
    """Train with live progress; from the first step on, a signal asks it to save and stop."""
    train, save_dir = loaded.config.train, loaded.config.output.save_dir
    with ExitStack() as stack:
        display = stack.enter_context(TrainingDisplay(terminal, train.epochs, train.members))
        stops: list[threading.Event] = []

        def on_member(number: int, epoch: int) -> None:
            if not stops:
                stops.append(stack.enter_context(stop_on_signals()))
            display.member(number, epoch)

        callbacks = replace(
            plain_callbacks(terminal),
            on_progress=display.preparation,
            on_member=on_member,
            on_step=display.step,
            on_epoch=display.epoch,
            should_stop=lambda: bool(stops) and stops[0].is_set(),
        )
        try:
            return run_training(loaded, callbacks=callbacks, **options)
        except KeyboardInterrupt:
            if display.started:
                terminal.note("stopped at once, without saving: work after the last save is lost")
            if display.started or options["resume"]:
                terminal.note(f"hint: continue with: {resume_command(save_dir)}")
            raise
