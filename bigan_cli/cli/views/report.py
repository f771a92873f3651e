"""How ``bigan report`` shows its result."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import human_size
from bigan_cli.workflows.evaluation_result import EvaluationResult


def show_report(terminal: Terminal, result: EvaluationResult, *, as_json: bool) -> None:
    """Print the file of the report, and what may be wrong."""
    for text in result.warnings:
        terminal.warn(text)
    if result.report is None:
        return
    if as_json:
        terminal.json({"report": result.report, **result.as_dict()})
        return
    terminal.result(str(result.report))
    terminal.note(f"{human_size(result.report.stat().st_size)}; open it in any browser")
