"""``bigan architectures``: which networks there are."""

from __future__ import annotations

from typing import Annotated

import typer

from bigan_cli.cli.options import JsonOption, PluginOption


def architectures(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show the options of this one.", metavar="NAME")
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the network architectures, or show the options of one."""
    from bigan_cli.cli.listing import describe, list_kind, show_options
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.plugins.registry import ARCHITECTURE

    terminal: Terminal = ctx.obj
    chosen = list_kind(terminal, ARCHITECTURE, plugin or [], name)
    if as_json:
        terminal.json({"architectures": [describe(provided) for provided in chosen]})
    elif name is None:
        terminal.table(
            ("name", "summary", "from"), ((p.cls.name, p.cls.summary, p.source) for p in chosen)
        )
    else:
        show_options(terminal, "model.options", chosen[0])
