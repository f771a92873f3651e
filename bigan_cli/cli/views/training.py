"""What ``bigan train`` says: of a run before it starts, of how it ended, and where time went."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bigan_cli.atomic import write_text
from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import count, human_time
from bigan_cli.model.diagnostics import WARMUP_STEPS, TrainingWarning
from bigan_cli.model.profile import STEPS_NEEDED, ProfileRow, StepProfiler
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.training_setup import TrainingSetup

# With fewer steps the networks hardly differ from untrained ones.
_FEW_STEPS = 100


def announce(terminal: Terminal, resolved: TrainingSetup, steps: int | None = None) -> None:
    """Say what will be trained on what; of a new run, also when each member's *steps* are few."""
    data = resolved.data
    counts = ", ".join(f"{len(images)} {name}" for name, images in resolved.splits.items())
    normal = "normal is " + ", ".join(data.class_names[k] for k in data.normal_classes)
    if len(data.class_names) == 1:
        normal = "all images are taken as normal"
    terminal.note(
        f"{data.dataset_name} ({data.protocol}): {normal}; {data.image_shape} pixels; {counts}"
    )
    parameters = sum(p.numel() for p in resolved.networks.parameters())
    terminal.note(
        f"{data.config.model.architecture} with {parameters:,} parameters on "
        f"{resolved.device} ({resolved.precision})"
    )
    members, seed = data.config.train.members, data.config.train.seed
    if members > 1:
        terminal.note(f"{members} members one after another, seeds {seed} to {seed + members - 1}")
    if data.config.train.compile == "on":
        terminal.note("kernels are made in the first steps, which may take minutes")
    if steps is not None and steps < _FEW_STEPS:
        each = " for each member" if members > 1 else ""
        terminal.note(f"{count(steps, 'step')}{each}, too few to learn much: raise --epochs")
    elif steps is not None and steps < WARMUP_STEPS:
        terminal.note(
            f"{count(steps, 'step')} in all are few: whether the networks collapse is not judged "
            f"below {WARMUP_STEPS}, and photographs want more: raise --epochs"
        )


def report(
    terminal: Terminal,
    run: RunDirectory,
    trained: int,
    seconds: float,
    profile: Sequence[ProfileRow],
    *,
    as_json: bool,
) -> None:
    """Say how a finished run went, and what is wrong with it at the end.

    Args:
        terminal: Where to say it.
        run: The run.
        trained: Epochs trained by this call, of all members.
        seconds: That they took.
        profile: Where a step's time went, if that was asked for.
        as_json: Whether all of it goes to standard output as JSON.
    """
    info = run.info()
    if as_json:
        rows = {"profile": [row.as_dict() for row in profile]} if profile else {}
        terminal.json({"run": str(run.path), **info, **rows})
    else:
        terminal.result(str(run.path))
        if profile:
            _show_profile(terminal, profile)
        chosen = "last" if run.config().train.selection == "last" else "best"
        _say_how_it_went(terminal, info["members"], chosen, trained, seconds)
    _warn_of_alarms(terminal, info["members"])
    if not as_json:
        terminal.note(f"next: bigan evaluate --run {shlex.quote(str(run.path))}")


def _say_how_it_went(
    terminal: Terminal,
    members: Sequence[Mapping[str, Any]],
    chosen: str,
    trained: int,
    seconds: float,
) -> None:
    best = [
        f"{chosen} epoch {member['best_epoch']} (validation {member['best_validation']:.4f})"
        for member in members
    ]
    epochs = members[0]["epoch"]
    words = f"trained {count(trained, 'epoch')} in {human_time(seconds)}"
    if len(members) == 1:
        if trained < epochs:
            words = f"{count(epochs, 'epoch')} in all" + (f", {words}" if trained else "")
        terminal.note(f"{words}; {best[0]}")
        return
    each = f"{len(members)} members of {count(epochs, 'epoch')} each"
    terminal.note(f"{words}; {each}" if trained else each)
    for number, text in enumerate(best, 1):
        terminal.note(f"member {number}: {text}")


def _warn_of_alarms(terminal: Terminal, members: Sequence[Mapping[str, Any]]) -> None:
    """Say what was still wrong at the end of training."""
    for number, member in enumerate(members, 1):
        which = f"member {number}, " if len(members) > 1 else ""
        for alarm in member["alarms"]:
            terminal.warn(f"{which}at the end of training: {TrainingWarning(**alarm)}")


def write_profile(
    terminal: Terminal, run: RunDirectory, profiler: StepProfiler
) -> list[ProfileRow]:
    """Write the trace of *profiler*, and return its table."""
    rows = profiler.finish()
    if rows:
        write_text(run.profile_file, profiler.trace())
        terminal.note(f"trace: {run.profile_file} (for chrome://tracing or ui.perfetto.dev)")
    else:
        terminal.warn(f"there were too few steps for a profile, which needs {STEPS_NEEDED}")
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
