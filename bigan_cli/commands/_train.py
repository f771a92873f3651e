"""What ``bigan train`` does, step by step: resolve, prepare, build, train, report."""

from __future__ import annotations

import platform
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import typer

from bigan_cli import __version__
from bigan_cli.commands._complete import origins_of_run, with_weights
from bigan_cli.commands._session import TrainingSession, load_training_state, stop_on_signals
from bigan_cli.commands._training_display import TrainingDisplay
from bigan_cli.config.load import Loaded, load_config
from bigan_cli.config.schema import RunConfig
from bigan_cli.console import Terminal, count, human_time
from bigan_cli.contracts import ScoreComponent
from bigan_cli.data.prepare import PreparedData, open_dataset, prepare
from bigan_cli.detect.fit import RECOMMENDED
from bigan_cli.errors import INTERRUPTED, RunDirectoryError, UsageError
from bigan_cli.files import write_text
from bigan_cli.model.device import resolve_device, resolve_precision, share_work
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.profile import ProfileRow, StepProfiler
from bigan_cli.model.step import wanted_heads
from bigan_cli.model.summary import summarise
from bigan_cli.model.trainer import Trainer
from bigan_cli.plugins import Registry
from bigan_cli.plugins.origins import origins_from
from bigan_cli.rundir import RunDirectory

# What may differ between a run and its continuation: nothing that changes what is learned.
_FREE_ON_RESUME = ("train.epochs", "train.device", "output.", "data.root", "data.download")


@dataclass(frozen=True)
class Resolved:
    """Everything that training needs, before anything is written."""

    data: PreparedData
    networks: Networks
    components: list[ScoreComponent]
    device: torch.device


def load(
    file: Path | None, sets: Sequence[str], flags: Mapping[str, Any], *, resume: bool
) -> Loaded:
    """Return the configuration; of the run to continue, where there is one.

    Raises:
        RunDirectoryError: *resume*, and there is no run.
        UsageError: *resume*, and a changed value would make it another run.
    """
    if not resume:
        return _completed(load_config(file=file, sets=sets, flags=flags))
    wanted = load_config(file=file, sets=sets, flags=flags)
    run = RunDirectory(wanted.config.output.save_dir)
    if not run.run_file.exists():
        raise RunDirectoryError(
            f"no run in {run.path} to resume (run.json missing)",
            "name its folder with --save-dir, or start a run without --resume",
        )
    stored = run.config()
    made_with = origins_from(run.info().get("made_with", ()))
    continued = _completed(
        load_config(file=file or run.config_file, sets=sets, flags=flags, made_with=made_with)
    )
    # Earlier versions stored runs without the weights of their components.
    _check_resumable(with_weights(stored, continued.registry), continued.config)
    return continued


def _completed(loaded: Loaded) -> Loaded:
    return replace(loaded, config=with_weights(loaded.config, loaded.registry))


def _check_resumable(stored: RunConfig, wanted: RunConfig) -> None:
    before, after = (
        _flatten(stored.model_dump(mode="json")),
        _flatten(wanted.model_dump(mode="json")),
    )
    for key in sorted(before.keys() | after.keys()):
        if key.startswith(_FREE_ON_RESUME) or before.get(key) == after.get(key):
            continue
        raise UsageError(
            f"cannot change {key} on resume ({before.get(key)} -> {after.get(key)})",
            "leave it as it was, or start a new run with --save-dir",
        )


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def resolve(terminal: Terminal, loaded: Loaded) -> Resolved:
    """Find the device, read the images and build the networks; nothing is written."""
    device = resolve_device(loaded.config.train.device)
    dataset = open_dataset(loaded.registry, loaded.config.data)
    data = prepare(dataset, loaded.config)
    given = loaded.config.data
    if data.protocol == "one-class" and not given.inlier:
        normal = data.class_names[data.normal_classes[0]]
        terminal.note(f"note: no --inlier given, so class {normal} is taken as normal")
    for note in data.notes:
        terminal.note(f"note: {note}")
    share_work(data.image_shape)
    data.calibration_check(loaded.config.score.fpr)
    config = data.config
    architecture_class = loaded.registry.architecture(config.model.architecture)
    architecture = architecture_class(architecture_class.Options.from_table(config.model.options))
    networks = build_networks(
        architecture,
        data.image_shape,
        config.model.latent_dim,
        config.train.seed,
        heads=wanted_heads(config.train),
    )
    return Resolved(data, networks, score_components(loaded.registry, config), device)


def score_components(registry: Registry, config: RunConfig) -> list[ScoreComponent]:
    """Return the components that the configuration names, or the recommended ones."""
    components = []
    for name in config.score.components or RECOMMENDED:
        component_class = registry.component(name)
        options = component_class.Options.from_table(config.score.options.get(name, {}))
        components.append(component_class(options))
    return components


def run(
    terminal: Terminal,
    loaded: Loaded,
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
    resolved = resolve(terminal, loaded)
    config = resolved.data.config
    stop = threading.Event()
    display = TrainingDisplay(terminal, config.train.epochs)
    profiler = StepProfiler(resolved.device) if profile else None

    def on_step(epoch: int, step: int, steps: int) -> None:
        if profiler is not None:
            profiler()
        display.step(epoch, step, steps)

    trainer = Trainer(
        resolved.networks,
        config.train,
        resolved.data.fit.pixels,
        resolved.data.validation.pixels,
        resolved.device,
        should_stop=stop.is_set,
        on_step=on_step,
    )
    if resume:
        run = RunDirectory.open(save_dir)
        trainer.load_state(load_training_state(run))
    else:
        run = RunDirectory.create(save_dir, overwrite=overwrite)
        run.write_info(status="running", **_run_info(resolved))
    run.write_config(config)
    _announce(terminal, resolved, trainer)
    made_with = origins_of_run(config, loaded.registry)
    run.write_info(made_with=[origin.as_dict() for origin in made_with])
    session = TrainingSession(run, trainer, resolved.data, resolved.components, made_with)
    started, first_epoch = time.monotonic(), trainer.epoch
    with stop_on_signals(stop), display:
        finished = session.train(display.epoch)
    rows = _write_profile(terminal, run, profiler) if profiler is not None else []
    if not finished:
        terminal.note(
            f"stopped in epoch {trainer.epoch + 1} of {config.train.epochs}; all work is saved\n"
            f"hint: continue with: bigan train --resume --save-dir {save_dir}"
        )
        raise typer.Exit(INTERRUPTED)
    if first_epoch >= config.train.epochs:
        terminal.note(f"all {config.train.epochs} epochs were trained before; raise --epochs")
    _report(terminal, run, trainer, time.monotonic() - started, rows, as_json=as_json)


def _announce(terminal: Terminal, resolved: Resolved, trainer: Trainer) -> None:
    data = resolved.data
    counts = ", ".join(f"{len(images)} {name}" for name, images in _splits(data).items())
    normal = "normal is " + ", ".join(data.class_names[k] for k in data.normal_classes)
    if len(data.class_names) == 1:
        normal = "all images are taken as normal"
    terminal.note(
        f"{data.dataset_name} ({data.protocol}): {normal}; {data.image_shape} pixels; {counts}"
    )
    parameters = sum(p.numel() for p in resolved.networks.parameters())
    terminal.note(
        f"{data.config.model.architecture} with {parameters:,} parameters on "
        f"{trainer.device} ({trainer.precision})"
    )


def _splits(data: PreparedData) -> dict[str, Any]:
    return {
        "fit": data.fit,
        "validation": data.validation,
        "calibration": data.calibration,
        "test": data.test,
    }


def _run_info(resolved: Resolved) -> dict[str, Any]:
    data, config = resolved.data, resolved.data.config
    return {
        "argv": sys.argv[1:],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.train.seed,
        "device": str(resolved.device),
        "precision": resolve_precision(config.train.precision, resolved.device, data.image_shape),
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
            "images": {name: len(images) for name, images in _splits(data).items()},
            "audit": data.audit.as_dict(),
        },
        "parameters": sum(p.numel() for p in resolved.networks.parameters()),
        "epoch": 0,
        "epochs": config.train.epochs,
    }


def _report(
    terminal: Terminal,
    run: RunDirectory,
    trainer: Trainer,
    seconds: float,
    profile: Sequence[ProfileRow],
    *,
    as_json: bool,
) -> None:
    if as_json:
        rows = {"profile": [row.as_dict() for row in profile]} if profile else {}
        terminal.json({"run": str(run.path), **run.info(), **rows})
        return
    terminal.result(str(run.path))
    if profile:
        _show_profile(terminal, profile)
    terminal.note(
        f"trained {count(trainer.epoch, 'epoch')} in {human_time(seconds)}; "
        f"best epoch {trainer.best_epoch} (validation {trainer.best_validation:.4f})"
    )
    terminal.note(f"next: bigan evaluate --run {run.path}")


def _write_profile(
    terminal: Terminal, run: RunDirectory, profiler: StepProfiler
) -> list[ProfileRow]:
    rows = profiler.finish()
    if rows:
        write_text(run.profile_file, profiler.trace())
        terminal.note(f"trace: {run.profile_file} (for chrome://tracing or ui.perfetto.dev)")
    else:
        terminal.warn("there were too few steps for a profile")
    return rows


def _show_profile(terminal: Terminal, profile: Sequence[ProfileRow]) -> None:
    on_gpu = profile[0].device_milliseconds is not None
    terminal.table(
        ("kind", "part of a step", "calls", "ms", *(["GPU ms"] if on_gpu else []), "share"),
        [
            (
                row.kind,
                row.part,
                f"{row.calls:.0f}",
                f"{row.milliseconds:.2f}",
                *([f"{row.device_milliseconds:.2f}"] if on_gpu else []),
                f"{row.share:.0%}",
            )
            for row in profile
        ],
    )


def dry_run(terminal: Terminal, loaded: Loaded, *, as_json: bool) -> None:
    """Resolve everything, try one step, and say what would be trained; nothing is written."""
    resolved = resolve(terminal, loaded)
    config = resolved.data.config
    rows = summarise(resolved.networks)
    trainer = Trainer(
        resolved.networks,
        config.train,
        resolved.data.fit.pixels,
        resolved.data.validation.pixels,
        resolved.device,
    )
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
    _announce(terminal, resolved, trainer)
    terminal.table(
        ("layer", "kind", "output", "parameters"),
        [(row.name, row.kind, row.output, f"{row.parameters:,}") for row in rows],
    )
    terminal.note(
        f"{count(config.train.epochs, 'epoch')} of {count(steps, 'step')}; "
        f"one step takes {seconds:.3f} s after warm-up; nothing was written"
    )
