"""How ``bigan export`` shows its result."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import human_size
from bigan_cli.workflows.export import ExportResult


def show_export(terminal: Terminal, result: ExportResult, *, as_json: bool) -> None:
    """Print the files that were written, and how near they are to the model."""
    comparison = result.comparison
    terminal.note(
        f"{human_size(result.size)}; compared on {result.compared_on}: labels equal, scores within "
        f"{comparison.score_difference:.1g} (label: score above {result.threshold:.4g}, for a "
        f"false-positive rate of {result.fpr:g})"
    )
    if as_json:
        terminal.json(result.as_dict())
        return
    for path in (result.output, *result.runners):
        terminal.result(str(path))
