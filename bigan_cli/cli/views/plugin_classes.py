"""Lists of plugin classes, and the options of one: datasets, architectures, score components."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigan_cli.cli.terminal import Terminal

if TYPE_CHECKING:
    from bigan_cli.contracts import Options
    from bigan_cli.plugins import Provided, Registry
    from bigan_cli.plugins.registry import Kind


@dataclass(frozen=True)
class Listing:
    """How the classes of one kind are listed.

    Attributes:
        kind: Datasets, architectures or score components.
        key: The key of the list in JSON.
        options_table: The table of a config file with the options of a class.
        columns: Heading of a column between name and summary -> the value of a class.
        facts: Key of a class in JSON -> its value, besides those that every kind has.
    """

    kind: Kind
    key: str
    options_table: Callable[[type[Any]], str]
    columns: Mapping[str, Callable[[type[Any]], object]] = field(default_factory=dict)
    facts: Mapping[str, Callable[[type[Any]], object]] = field(default_factory=dict)


def show_classes(
    terminal: Terminal,
    listing: Listing,
    files: Sequence[Path],
    name: str | None,
    *,
    as_json: bool,
) -> type[Any] | None:
    """Print the classes of one kind, or the options of the one called *name*, and return that one.

    With *as_json* one JSON document is printed instead, and None returned.

    Raises:
        PluginError: There is no class of that name, or there are several.
    """
    chosen = _find(terminal, listing.kind, files, name)
    if as_json:
        rows = [
            {**_describe(p), **{key: value(p.cls) for key, value in listing.facts.items()}}
            for p in chosen
        ]
        terminal.json({listing.key: rows})
        return None
    if name is None:
        cells = listing.columns.values()
        terminal.table(
            ("name", *listing.columns, "summary", "from"),
            ((p.name, *(cell(p.cls) for cell in cells), p.cls.summary, p.source) for p in chosen),
        )
        return None
    cls: type[Any] = chosen[0].cls
    _show_options(terminal, listing.options_table(cls), chosen[0])
    return cls


def warn_of_broken(terminal: Terminal, registry: Registry) -> None:
    """Warn of broken plugins, and of classes that are hidden by a built-in of the same name."""
    for plugin in registry.broken:
        terminal.warn(str(plugin))
    for shadowed in registry.shadowed:
        terminal.warn(str(shadowed))


def warn_of_clashes(terminal: Terminal, registry: Registry, kinds: Sequence[Kind]) -> None:
    """Warn of the names that several plugins provide, so that none of them can be used."""
    for kind in kinds:
        for name, clash in registry.clashes.get(kind.hook, {}).items():
            sources = ", ".join(provided.source for provided in clash)
            terminal.warn(f"{kind.word} '{name}' is provided more than once: {sources}")


def _find(
    terminal: Terminal, kind: Kind, files: Sequence[Path], name: str | None
) -> list[Provided[Any]]:
    """Return the classes of *kind*, or the one called *name*, and warn of those left out."""
    from bigan_cli.plugins import load_registry

    registry = load_registry(files)
    known = registry.all_of(kind)
    chosen = list(known.values()) if name is None else [known[registry.find(kind, name).name]]
    warn_of_broken(terminal, registry)
    warn_of_clashes(terminal, registry, [kind])
    return chosen


def _describe(provided: Provided[Any]) -> dict[str, Any]:
    """Return the JSON of a class, as far as it is the same for every kind."""
    return {
        "name": provided.name,
        "summary": provided.cls.summary,
        "options": _options_of(provided.cls.Options),
        "plugin": provided.plugin,
        "distribution": provided.distribution,
        "version": provided.version,
    }


def _options_of(options: type[Options]) -> list[dict[str, Any]]:
    """Return name, default, description of each option, and whether it is required."""
    from pydantic_core import to_jsonable_python

    return [
        {
            "name": name,
            "required": option.is_required(),
            "default": None
            if option.is_required()
            else to_jsonable_python(option.get_default(call_default_factory=True)),
            "description": option.description or "",
        }
        for name, option in options.model_fields.items()
    ]


def _show_options(terminal: Terminal, table: str, provided: Provided[Any]) -> None:
    """Print the options of one class, and the table of a config file that they belong to."""
    options = _options_of(provided.cls.Options)
    terminal.note(f"{provided.name}: {provided.cls.summary}")
    if not options:
        terminal.note("It has no options of its own.")
        return
    terminal.note(
        f"Set its options in [{table}] of a config file, or on the command line: "
        f"--set {table}.OPTION=VALUE"
    )
    terminal.table(
        ("option", "default", "description"),
        (
            (o["name"], "required" if o["required"] else _as_toml(o["default"]), o["description"])
            for o in options
        ),
    )


def _as_toml(value: object) -> str:
    if value is None:
        return ""
    try:
        return json.dumps(value)
    except TypeError:
        return str(value)
