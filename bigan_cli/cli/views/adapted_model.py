"""How the outcome of ``bigan recalibrate`` and ``bigan update`` looks."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import count
from bigan_cli.workflows.adapt import AdaptedModel


def show_adapted_model(terminal: Terminal, result: AdaptedModel, *, as_json: bool) -> None:
    """Print the new model file, and how its threshold differs from its parent's."""
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.result(str(result.output))
    parts = ", ".join(f"{number:,} {name}" for name, number in result.parts.items())
    terminal.note(f"{result.kind} with {count(result.images, 'normal image')} ({parts})")
    terminal.note(
        f"the model before flags {result.flagged_by_parent:,} of the "
        f"{result.parts['calibration']:,} calibration images (score above "
        f"{result.parent_threshold:.4g}, for a false-positive rate of {result.parent_fpr:g})"
    )
    terminal.note(
        f"now a score above {result.threshold:.4g} is anomalous, for a false-positive rate of "
        f"{result.fpr:g}; rates from {1 / (result.parts['calibration'] + 1):.2g} up are possible"
    )
