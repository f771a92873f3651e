"""The list of plugins, and what is printed of a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigan_cli.atomic import expanded
from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.plugin_classes import warn_of_clashes
from bigan_cli.errors import UsageError
from bigan_cli.plugins import load_registry
from bigan_cli.plugins.names import SWITCH, join_words
from bigan_cli.plugins.registry import KINDS
from bigan_cli.plugins.scaffold import kind_named, plugin_name, write_package


def list_plugins(terminal: Terminal, files: Sequence[Path], *, as_json: bool) -> None:
    """Print every plugin with what it provides, or why it is broken."""
    registry = load_registry(files)
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
    if as_json:
        clashes = {
            name: [provided.source for provided in clash]
            for names in registry.clashes.values()
            for name, clash in names.items()
        }
        terminal.json(
            {
                "plugins": found,
                "clashes": clashes,
                "not_used": [str(shadowed) for shadowed in registry.shadowed],
                "disabled": [off.name for off in registry.disabled],
            }
        )
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
    warn_of_clashes(terminal, registry, KINDS)
    for shadowed in registry.shadowed:
        terminal.warn(str(shadowed))
    if registry.disabled:
        off = join_words(map(str, registry.disabled))
        terminal.note(f"note: {SWITCH} disables {off}")


def _by_kind(provides: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return kind in words (``"dataset"``) -> names, from hook -> names."""
    return {kind.word: list(provides[kind.hook]) for kind in KINDS if provides.get(kind.hook)}


def _in_words(provides: Any) -> str:
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in provides.items())


def new_plugin(terminal: Terminal, text: str, kind: str, parent: Path) -> None:
    """Write the package of a new plugin, and say what to do with it.

    Raises:
        UsageError: The name or the kind is wrong, or there is such a plugin or folder already.
    """
    wanted = kind_named(kind)
    name = plugin_name(text)
    taken = load_registry().all_of(wanted).get(name)
    if taken is not None:
        raise UsageError(
            f"there is a {wanted.word} '{name}' already, in {taken.source}", "choose another name"
        )
    package = write_package(name, kind, expanded(parent))
    terminal.result(str(package))
    terminal.note(f"next: pip install -e {package}, then bigan plugins check {name}")
