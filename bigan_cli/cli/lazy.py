"""The lazily imported commands of the command line.

Listing the commands or completing a name imports none of them; running one, or showing its help,
imports that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, NamedTuple

import typer

from bigan_cli.cli.help import Command, Group, write_sections


class Entry(NamedTuple):
    """One command in the list of commands.

    Attributes:
        summary: The first sentence of its help.
        examples: Command lines, shown below its help.
    """

    summary: str
    examples: tuple[str, ...]


def entry(summary: str, *examples: str) -> Entry:
    """Return the entry of a command."""
    return Entry(summary, examples)


Entries = Mapping[str, Mapping[str, Entry]]
"""Heading -> name of a command -> its entry.

The command is in the module of its name in ``bigan_cli.cli.commands``: a function of the same
name, or a group of commands named ``app``.
"""


class LazyGroup(Group):
    """The root group, whose commands are *entries*."""

    entries: Entries

    def fill(self, entries: Entries) -> None:
        """Set the commands."""
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
    """Name -> command, imported at first use."""

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


def _make(name: str, command: Entry) -> Any:
    """Import the command *name* and return its typer command."""
    module = import_module(f"bigan_cli.cli.commands.{name}")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    heading = "Examples" if len(command.examples) > 1 else "Example"
    epilog = "\n  ".join([f"\b\n{heading}:", *command.examples])
    if hasattr(module, "app"):
        for subcommand in module.app.registered_commands:
            subcommand.cls = Command
        alone.add_typer(module.app, name=name, cls=Group, epilog=epilog)
    else:
        alone.command(name, cls=Command, epilog=epilog)(getattr(module, name))
        alone.callback()(lambda: None)  # else a single command is no group
    group: Any = typer.main.get_command(alone)
    return group.commands[name]
