"""``bigan plugins``: what provides the data sets, architectures and score components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

app = typer.Typer(name="plugins")


@app.callback(invoke_without_command=True)
def plugins(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the plugins, what each provides, and which are broken."""
    if ctx.invoked_subcommand is not None:
        return
    from bigan_cli.console import Terminal
    from bigan_cli.plugins import load_registry

    terminal: Terminal = ctx.obj
    registry = load_registry()
    found = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "provides": _by_kind(plugin.provides),
            "broken": None,
        }
        for plugin in registry.plugins
    ] + [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "provides": {},
            "broken": plugin.reason,
        }
        for plugin in registry.broken
    ]
    clashes = {
        name: [provided.source for provided in clash]
        for names in registry.clashes.values()
        for name, clash in names.items()
    }
    if as_json:
        terminal.json({"plugins": found, "clashes": clashes})
        return
    terminal.table(
        ("plugin", "from", "provides", "status"),
        (
            (
                plugin["name"],
                f"{plugin['distribution']} {plugin['version']}".strip(),
                _in_words(plugin["provides"]),
                f"broken: {plugin['broken']}" if plugin["broken"] else "ok",
            )
            for plugin in found
        ),
    )
    for name, sources in clashes.items():
        terminal.warn(f"'{name}' is provided more than once: {', '.join(sources)}")


def _by_kind(provides: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return kind in words (``"data set"``) -> names, from hook -> names."""
    from bigan_cli.plugins.registry import KINDS

    return {kind.word: list(provides[kind.hook]) for kind in KINDS if provides.get(kind.hook)}


def _in_words(provides: Any) -> str:
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in provides.items())
