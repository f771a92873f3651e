"""What ``bigan train`` does with its configuration: prepare, build, train, report."""

from __future__ import annotations

import platform
import shlex
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer

from bigan_cli import __version__
from bigan_cli.atomic import write_lock
from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.training import announce, report, write_profile
from bigan_cli.cli.views.training_progress import TrainingDisplay
from bigan_cli.config.load import LoadedConfig
from bigan_cli.config.schema import RunConfig
from bigan_cli.errors import INTERRUPTED, RunDirectoryError, UsageError
from bigan_cli.formatting import count
from bigan_cli.model.profile import StepProfiler
from bigan_cli.model.summary import summarise
from bigan_cli.model.trainer import Trainer
from bigan_cli.storage.model_file import load_detector
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.run_config import stale_models
from bigan_cli.workflows.run_models import RunModels
from bigan_cli.workflows.score_config import plugin_versions_of
from bigan_cli.workflows.training_session import (
    TrainingSession,
    check_training_state,
    stop_on_signals,
)
from bigan_cli.workflows.training_setup import TrainingSetup, resolve


def run(
    terminal: Terminal,
    loaded: LoadedConfig,
    *,
    resume: bool,
    overwrite: bool,
    profile: bool,
    as_json: bool,
) -> None:
    """Train from the start, or from where the run stopped."""
    save_dir = loaded.config.output.save_dir
    if not resume:
        RunDirectory(save_dir).check_free(overwrite=overwrite)
    going_on = f"bigan train --resume --save-dir {shlex.quote(str(save_dir))}"
    resolved = resolve(terminal, loaded)
    config = resolved.data.config
    stop = threading.Event()
    display = TrainingDisplay(terminal, config.train.epochs, config.train.members)
    profiler = StepProfiler(resolved.device) if profile else None

    def on_step(epoch: int, step: int, steps: int) -> None:
        if profiler is not None:
            profiler()
        display.step(epoch, step, steps)

    # Made before the run directory, so that what cannot be trained leaves nothing behind.
    trainers = {0: resolved.trainer(0, stop.is_set, on_step)}

    def make_trainer(member: int) -> Trainer:
        return trainers.pop(member, None) or resolved.trainer(member, stop.is_set, on_step)

    started = time.monotonic()
    with write_lock(save_dir):
        if resume:
            run = RunDirectory.open(save_dir)
            _check_continuable(run, resolved)
        else:
            run = RunDirectory.create(save_dir, overwrite=overwrite)
            run.write_info(status="running", **_run_info(resolved))
        announce(terminal, resolved, None if resume else _steps_in_all(trainers[0]))
        plugin_versions = plugin_versions_of(config, loaded.registry)
        reopen = partial(load_detector, device=resolved.device, registry=resolved.registry)
        models = RunModels(resolved.data, resolved.components, reopen, plugin_versions)
        rescored = stale_models(run, loaded) if resume else []
        if rescored:
            _refit(terminal, run, models, rescored, config)
        run.write_config(config)
        run.write_info(plugin_versions=[origin.as_dict() for origin in plugin_versions])
        session = TrainingSession(run, resolved.data, models, make_trainer, display)
        try:
            with stop_on_signals(stop), display:
                finished = session.train()
        except KeyboardInterrupt:
            terminal.note(
                "stopped at once, without saving: what came after the last save is lost\n"
                f"hint: continue from there with: {going_on}"
            )
            raise
        rows = write_profile(terminal, run, profiler) if profiler is not None else []
    if not finished:
        which = f" of member {session.number + 1}" if config.train.members > 1 else ""
        terminal.note(
            f"stopped in epoch {session.trainer.epoch + 1} of {config.train.epochs}{which}; "
            "all work is saved\n"
            f"hint: continue with: {going_on}"
        )
        raise typer.Exit(INTERRUPTED)
    if not session.trained_epochs and not rescored:
        terminal.note(
            f"all {config.train.epochs} epochs were trained before; raise --epochs or --members"
        )
    spent = time.monotonic() - started
    report(terminal, run, session.trained_epochs, spent, rows, as_json=as_json)


def _steps_in_all(trainer: Trainer) -> int:
    return trainer.config.epochs * trainer.steps_per_epoch


def _refit(
    terminal: Terminal,
    run: RunDirectory,
    models: RunModels,
    files: Sequence[Path],
    config: RunConfig,
) -> None:
    """Fit the score, which has changed, to the networks of *files*.

    One that cannot be fitted changes nothing. Once the first file has it, so has the
    configuration: if this is stopped, the next resumption does the rest.
    """
    done = 0
    try:
        for done, path in enumerate(files):
            terminal.note(f"fitting the changed score to {path.name} ({done + 1}/{len(files)})")
            models.refit(path)
            if not done:
                run.write_config(config)
                run.write_info(rescored=_now())
    except KeyboardInterrupt:
        if done:
            terminal.note(
                f"{len(files) - done} of {len(files)} model files have the score as it was\n"
                f"hint: change the rest with: bigan train --resume --save-dir {run.path}"
            )
        raise
    if run.evaluation_file.exists():
        terminal.note(f"{run.stats} tells of the score as it was: evaluate the run again")


def _check_continuable(run: RunDirectory, resolved: TrainingSetup) -> None:
    """Refuse to go on with other images, or to fewer epochs than there are.

    Raises:
        RunDirectoryError: There is nothing to continue from, or the images have changed.
        UsageError: Fewer epochs are wanted than were trained.
    """
    check_training_state(run)
    trained_on = run.info().get("data", {}).get("fingerprint")
    if trained_on is not None and trained_on != resolved.data.fingerprint:
        # They would be split anew: images that were held back might be trained on.
        raise RunDirectoryError(
            f"the images of {resolved.data.dataset_name} are not those that {run.path} was "
            "trained on",
            "bring them back, or start a new run with --save-dir",
        )
    trained = max((record["epoch"] for record in run.metrics()), default=0)
    wanted = resolved.data.config.train.epochs
    if wanted < trained:
        raise UsageError(
            f"{trained} epochs were trained in {run.path}, more than --epochs {wanted}",
            f"pass --epochs {trained} or more, or start a new run with --save-dir",
        )


def _run_info(resolved: TrainingSetup) -> dict[str, Any]:
    data, config = resolved.data, resolved.data.config
    return {
        "argv": sys.argv[1:],
        "started": _now(),
        "seed": config.train.seed,
        "device": str(resolved.device),
        "precision": resolved.precision,
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
            "images": {name: len(images) for name, images in resolved.splits.items()},
            "audit": data.audit.as_dict(),
        },
        "parameters": sum(p.numel() for p in resolved.networks.parameters()),
        "epoch": 0,
        "epochs": config.train.epochs,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def dry_run(terminal: Terminal, loaded: LoadedConfig, *, as_json: bool) -> None:
    """Resolve everything, try one step, and say what would be trained; nothing is written."""
    resolved = resolve(terminal, loaded)
    config = resolved.data.config
    rows = summarise(resolved.networks)
    trainer = resolved.trainer()
    seconds = trainer.try_step()
    steps = trainer.steps_per_epoch
    if as_json:
        terminal.json(
            {
                "config": config.model_dump(mode="json", by_alias=True),
                "layers": [row.as_dict() for row in rows],
                "steps_per_epoch": steps,
                "seconds_per_step": seconds,
            }
        )
        return
    announce(terminal, resolved, _steps_in_all(trainer))
    terminal.table(
        ("layer", "kind", "output", "parameters"),
        [(row.name, row.kind, row.output, f"{row.parameters:,}") for row in rows],
    )
    terminal.note(
        f"{count(config.train.epochs, 'epoch')} of {count(steps, 'step')}; "
        f"one step takes {seconds:.3f} s after warm-up; nothing was written"
    )
