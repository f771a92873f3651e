"""What ``bigan datasets``, ``architectures`` and ``components`` share: tables off the registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigan_cli.cli.terminal import Terminal

if TYPE_CHECKING:
    from bigan_cli.contracts import Options
    from bigan_cli.plugins import Provided, Registry
    from bigan_cli.plugins.registry import Kind


def describe(provided: Provided[Any]) -> dict[str, Any]:
    """Return what any kind of plugin class says of itself, for ``--json``."""
    return {
        "name": provided.cls.name,
        "summary": provided.cls.summary,
        "options": options_of(provided.cls.Options),
        "plugin": provided.plugin,
        "distribution": provided.distribution,
        "version": provided.version,
    }


def options_of(options: type[Options]) -> list[dict[str, Any]]:
    """Return name, default (as JSON has it), requiredness and description of each typed option."""
    from pydantic_core import to_jsonable_python

    return [
        {
            "name": name,
            "required": field.is_required(),
            "default": None
            if field.is_required()
            else to_jsonable_python(field.get_default(call_default_factory=True)),
            "description": field.description or "",
        }
        for name, field in options.model_fields.items()
    ]


def show_options(terminal: Terminal, table: str, provided: Provided[Any]) -> None:
    """Print the options of one class, and the table of a config file where they belong."""
    options = options_of(provided.cls.Options)
    terminal.note(f"{provided.cls.name}: {provided.cls.summary}")
    if not options:
        terminal.note("It has no options of its own.")
        return
    terminal.note(
        f"Its options stand in [{table}] of a config file, or on the command line: "
        f"--set {table}.OPTION=VALUE"
    )
    terminal.table(
        ("option", "default", "description"),
        (
            (o["name"], "required" if o["required"] else _as_toml(o["default"]), o["description"])
            for o in options
        ),
    )


def warn_of_broken(terminal: Terminal, registry: Registry) -> None:
    """Say what of the plugins is not used: which are broken, and what a built-in goes before."""
    for plugin in registry.broken:
        terminal.warn(str(plugin))
    for shadowed in registry.shadowed:
        terminal.warn(str(shadowed))


def warn_of_clashes(terminal: Terminal, registry: Registry, kinds: Sequence[Kind]) -> None:
    """Say which names of *kinds* several plugins provide, so that none of them can be used."""
    for kind in kinds:
        for name, clash in registry.clashes.get(kind.hook, {}).items():
            sources = ", ".join(provided.source for provided in clash)
            terminal.warn(f"{kind.word} '{name}' is provided more than once: {sources}")


def list_kind(
    terminal: Terminal,
    kind: Kind,
    files: Sequence[Path],
    name: str | None,
) -> list[Provided[Any]]:
    """Return what there is of *kind*, or the one called *name*, with the warnings that belong.

    Raises:
        PluginError: There is no such one, or several.
    """
    from bigan_cli.plugins import load_registry

    registry = load_registry(files)
    known = registry.all_of(kind)
    chosen = list(known.values()) if name is None else [known[registry.find(kind, name).name]]
    warn_of_broken(terminal, registry)
    warn_of_clashes(terminal, registry, [kind])
    return chosen


def _as_toml(value: object) -> str:
    if value is None:
        return ""
    try:
        return json.dumps(value)
    except TypeError:
        return str(value)
