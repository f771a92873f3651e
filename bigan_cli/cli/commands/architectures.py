"""``bigan architectures``: lists the network architectures."""

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
    from bigan_cli.cli.views.plugin_classes import Listing, show_classes
    from bigan_cli.plugins.registry import ARCHITECTURE

    listing = Listing(ARCHITECTURE, "architectures", lambda _: "model.options")
    show_classes(ctx.obj, listing, plugin or [], name, as_json=as_json)
