"""How ``bigan train`` shows its plan and its result."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.self_test import show_self_test
from bigan_cli.formatting import count, human_time
from bigan_cli.model.profile import ProfileRow
from bigan_cli.plugins.names import join_words
from bigan_cli.workflows.train import TrainingPlan, TrainingResult


def resume_command(save_dir: Path) -> str:
    """Return the command that resumes the run in *save_dir*."""
    return f"bigan train --resume --save-dir {shlex.quote(str(save_dir))}"


def show_plan(terminal: Terminal, plan: TrainingPlan) -> None:
    """Show the layers of the networks, and how many steps would be trained."""
    terminal.table(
        ("layer", "kind", "output", "parameters"),
        [(row.name, row.kind, row.output, f"{row.parameters:,}") for row in plan.layers],
    )
    terminal.note(
        f"{count(plan.config.train.epochs, 'epoch')} of {count(plan.steps_per_epoch, 'step')}; "
        f"one step takes {plan.seconds_per_step:.3f} s after warm-up; nothing was written"
    )


def show_interrupted(terminal: Terminal, result: TrainingResult) -> None:
    """Show where training was stopped, and how to resume it."""
    info = result.info
    which = f" of member {info['member']}" if info["members_wanted"] > 1 else ""
    terminal.note(
        f"stopped in epoch {info['epoch'] + 1} of {info['epochs']}{which}; all work is saved\n"
        f"hint: continue with: {resume_command(result.run)}"
    )


def show_result(
    terminal: Terminal, result: TrainingResult, *, selection: str, as_json: bool
) -> None:
    """Show how a finished run went, and what was wrong at the end.

    Args:
        terminal: Where to show it.
        result: The result.
        selection: Which epoch is scored with, ``"validation"`` or ``"last"``.
        as_json: Whether the result goes to standard output as JSON.
    """
    if not result.epochs and not result.refitted:
        terminal.note(
            f"all {result.info['epochs']} epochs were trained before; raise --epochs or --members"
        )
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.result(str(result.run))
        if result.profile:
            _show_profile(terminal, result.profile)
        _show_epochs(terminal, result, "last" if selection == "last" else "best")
        for line in _outcome(result.info.get("data") or {}):
            terminal.note(line)
        if result.self_test is not None:
            show_self_test(terminal, result.self_test)
    for warning in result.warnings:
        terminal.warn(warning)
    if not as_json:
        terminal.note(f"next: bigan evaluate --run {shlex.quote(str(result.run))}")


def _show_epochs(terminal: Terminal, result: TrainingResult, chosen: str) -> None:
    best = [
        f"{chosen} epoch {member['best_epoch']} (validation {member['best_validation']:.4f})"
        for member in result.members
    ]
    epochs = result.members[0]["epoch"]
    trained = f"trained {count(result.epochs, 'epoch')} in {human_time(result.seconds)}"
    if len(best) == 1:
        if result.epochs < epochs:
            total = f"{count(epochs, 'epoch')} in all"
            trained = f"{total}, {trained}" if result.epochs else total
        terminal.note(f"{trained}; {best[0]}")
        return
    each = f"{len(best)} members of {count(epochs, 'epoch')} each"
    terminal.note(f"{trained}; {each}" if result.epochs else each)
    for number, text in enumerate(best, 1):
        terminal.note(f"member {number}: {text}")


def _outcome(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was learned, for which rates it is calibrated, and what is not known yet.

    Args:
        data: The table ``data`` of run.json.
    """
    images, classes = data.get("images", {}), data.get("normal_classes", [])
    if classes and images.get("train"):
        noun = "class" if len(classes) == 1 else "classes"
        yield (
            f"learned how normal images of {data.get('dataset')} look ({noun} "
            f"{join_words(classes)}), from {count(images['train'], 'image')}"
        )
    calibration = data.get("calibration") or {}
    number = calibration.get("images", 0)
    if number:
        how = "by cross-fitting on" if calibration.get("method") == "cross-fitting" else "on"
        yield (
            f"calibrated {how} {count(number, 'normal image')}, for false-positive rates of "
            f"{1 / (number + 1):.2g} and more"
        )
    test = images.get("test", 0)
    missing = f"{count(test, 'test image')} not evaluated yet" if test else "no test images"
    yield f"how well it finds anomalies is not known: {missing}"


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
