"""The commands on offer: named at once, imported when one of them is chosen.

Showing the list or completing a name costs no import of any command; running or explaining one
costs its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer

from bigan_cli.cli.help import Command, Group, write_sections


class Entry(NamedTuple):
    """One command as the list shows it.

    Attributes:
        summary: The first sentence of its help.
        example: A command line, shown below its help.
    """

    summary: str
    example: str


Entries = Mapping[str, Mapping[str, Entry]]
"""Heading -> name of a command -> its entry.

The command stands in the module of its name in ``bigan_cli.cli.commands``: a function of the same
name, or a group of commands named ``app``.
"""


class LazyGroup(Group):
    """The group at the root, whose commands stand in *entries*."""

    entries: Entries

    def fill(self, entries: Entries) -> None:
        """Offer these commands."""
        self.entries = entries
        self.commands = _Commands({n: e for part in entries.values() for n, e in part.items()})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  as typer calls it
        """Return the names."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  likewise
        """Write the commands, each with its summary, under their headings."""
        write_sections(
            {
                heading: [(name, entry.summary) for name, entry in part.items()]
                for heading, part in self.entries.items()
            },
            formatter,
        )


class _Commands(MutableMapping[str, Any]):
    """Name -> command, made when it is first asked for."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = dict(entries)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name, self._entries[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._entries[name]
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _make(name: str, entry: Entry) -> Any:
    """Import the command *name* and return it as typer wants it."""
    module = import_module(f"bigan_cli.cli.commands.{name}")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    epilog = f"\b\nExample:\n  {entry.example}"
    if hasattr(module, "app"):
        for subcommand in module.app.registered_commands:
            subcommand.cls = Command
        alone.add_typer(module.app, name=name, cls=Group, epilog=epilog)
    else:
        alone.command(name, cls=Command, epilog=epilog)(getattr(module, name))
        alone.callback()(lambda: None)  # else a single command is no group
    group: Any = typer.main.get_command(alone)
    return group.commands[name]
