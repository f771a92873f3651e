"""``bigan plugins``: lists plugins with what they provide, and writes and checks new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import JsonOption, PluginOption, setting_option

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal

app = typer.Typer(name="plugins")


@app.callback(invoke_without_command=True)
def plugins(ctx: typer.Context, plugin: PluginOption = None, as_json: JsonOption = False) -> None:
    """List the plugins, what each provides, and which are broken; write and check your own."""
    if ctx.invoked_subcommand is not None:
        return
    from bigan_cli.cli.views.plugins import list_plugins

    list_plugins(ctx.obj, plugin or [], as_json=as_json)


@app.command()
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it, as in tree-frogs.", metavar="NAME")],
    kind: Annotated[
        str, typer.Option(help="dataset, architecture, score or tracker.", metavar="KIND")
    ] = "dataset",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to make the folder.", metavar="DIR")
    ] = Path(),
) -> None:
    """Write a package bigan-NAME with a plugin that works, its tests and a README."""
    from bigan_cli.cli.views.plugins import new_plugin

    terminal: Terminal = ctx.obj
    new_plugin(terminal, name, kind, output)


@app.command()
def check(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A dataset, architecture, score component or tracker. "
            "[all that --plugin provides]",
            metavar="NAME",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="dataset, architecture, score or tracker, where several have the name.",
            metavar="KIND",
        ),
    ] = None,
    plugin: PluginOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One of its options; repeatable.", metavar="TABLE.KEY=VALUE"),
    ] = None,
    data_root: Annotated[
        Path | None,
        setting_option("data.root"),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Let a dataset fetch files that are missing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check whether a dataset, architecture, score component or tracker keeps its contract."""
    from bigan_cli.cli.views.plugin_check import Request, check_plugins

    request = Request(name, kind, plugin or [], set_ or [], data_root, download, as_json)
    check_plugins(ctx.obj, request)
