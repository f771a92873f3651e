"""``bigan env``: the installation, as a block to paste into a bug report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer


def env(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print environment information for bug reports."""
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.workflows.environment import environment

    terminal: Terminal = ctx.obj
    facts = environment()
    if as_json:
        terminal.json(facts)
    else:
        _show(terminal.result, facts)


def _show(line: Callable[[str], None], facts: dict[str, Any], indent: str = "") -> None:
    width = max(map(len, facts), default=0) + 2
    for name, value in facts.items():
        if isinstance(value, dict | list):
            line(f"{indent}{name}:{'' if value else ' none'}")
            inner = value if isinstance(value, dict) else {str(i): v for i, v in enumerate(value)}
            _show(line, inner, indent + "  ")
        else:
            line(f"{indent}{name + ':':{width}}{value}")
