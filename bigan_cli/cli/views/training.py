"""How ``bigan train`` shows its plan and its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.self_test import show_self_test
from bigan_cli.formatting import count, human_time
from bigan_cli.model.profile import ProfileRow
from bigan_cli.plugins.names import join_words
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.training_result import TrainingPlan, TrainingResult


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
    where = f"stopped in epoch {info['epoch'] + 1} of {info['epochs']}{which}"
    if result.all_saved:
        terminal.note(f"{where}; all work is saved")
        _suggest_continuing(terminal, result.run)
    else:
        _show_loss(terminal, f"{where}, in cross-fitting", result.run)


def show_interrupted_at_once(terminal: Terminal, save_dir: Path) -> None:
    """Show what is left of a run that was interrupted without a save, and how to continue."""
    _show_loss(terminal, "stopped at once, without saving", save_dir)


def _show_loss(terminal: Terminal, stopped: str, save_dir: Path) -> None:
    """Show what is lost of a run that was not saved when it *stopped*, and how to go on."""
    if RunDirectory(save_dir).training_state(0).exists():
        terminal.note(f"{stopped}; work after the last save is lost")
        _suggest_continuing(terminal, save_dir)
    else:
        terminal.note(f"{stopped}; nothing was saved yet, so training will begin again")
        _suggest_continuing(terminal, save_dir, "start again")


def _suggest_continuing(terminal: Terminal, save_dir: Path, again: str = "continue") -> None:
    terminal.suggest(
        f"hint: {again} with", "bigan", "train", "--resume", "--save-dir", str(save_dir)
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
        for line in (*_learned(result, selection), *_possible_rates(result)):
            terminal.note(line)
        if result.self_test is not None:
            show_self_test(terminal, result.self_test)
    for warning in result.warnings:
        terminal.warn(warning)
    if not as_json:
        terminal.note(result.verdict)
        _suggest_next(terminal, result)


def _learned(result: TrainingResult, selection: str) -> Iterator[str]:
    """Yield what was learned, from what, and how training went."""
    data = result.info.get("data") or {}
    images, classes = data.get("images", {}), data.get("normal_classes", [])
    if classes and images.get("train"):
        noun = "class" if len(classes) == 1 else "classes"
        yield (
            f"learned what is normal from {count(images['train'], 'image')} "
            f"(dataset {data.get('dataset')}, {noun} {join_words(classes)})"
        )
    chosen = "last" if selection == "last" else "best"
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
        yield f"{trained}; {best[0]}"
        return
    each = f"{len(best)} members of {count(epochs, 'epoch')} each"
    yield f"{trained}; {each}" if result.epochs else each
    for number, text in enumerate(best, 1):
        yield f"member {number}: {text}"


def _possible_rates(result: TrainingResult) -> Iterator[str]:
    """Yield which false-positive rates are possible."""
    data = result.info.get("data") or {}
    calibration = data.get("calibration") or {}
    number = calibration.get("images", 0)
    if number:
        how = " by cross-fitting" if calibration.get("method") == "cross-fitting" else ""
        yield (
            f"threshold set{how} on {count(number, 'normal image')}: false-positive rates from "
            f"{1 / (number + 1):.2g} up are possible"
        )


def _suggest_next(terminal: Terminal, result: TrainingResult) -> None:
    """Show the command that comes next: an evaluation, or scores where nothing can be tested."""
    run = str(result.run)
    if (result.info.get("data") or {}).get("images", {}).get("test", 0):
        terminal.suggest("next", "bigan", "evaluate", "--run", run)
    else:
        terminal.suggest("next", "bigan", "score", "FOLDER", "--run", run)


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
