"""Shell completion of option values; plugins are imported only when they are completed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Completion = Callable[[str], list[str]]

DEVICES = ("auto", "cpu", "cuda", "mps")
CHECKPOINTS = ("best", "last")


def words(*values: str) -> Completion:
    """Return a completion of *values*."""
    return lambda incomplete: _starting_with(incomplete, values)


def datasets(incomplete: str) -> list[str]:
    """Complete the name of a dataset, those of plugins included."""
    from bigan_cli.plugins import load_registry

    return _starting_with(incomplete, load_registry().datasets)


def architectures(incomplete: str) -> list[str]:
    """Complete the name of an architecture, those of plugins included."""
    from bigan_cli.plugins import load_registry

    return _starting_with(incomplete, load_registry().architectures)


def _starting_with(incomplete: str, values: Iterable[str]) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]
