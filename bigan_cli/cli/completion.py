"""What a shell offers as the value of an option; imports what it needs when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import get_args

Offer = Callable[[str], list[str]]

DEVICES = ("auto", "cpu", "cuda", "mps")
CHECKPOINTS = ("best", "last")


def words(*values: str) -> Offer:
    """Return what offers *values*."""
    return lambda incomplete: _beginning(incomplete, values)


def values_of(table: str, key: str) -> Offer:
    """Return what offers the words that a configuration key takes."""

    def offer(incomplete: str) -> list[str]:
        from bigan_cli.config.schema import RunConfig

        section = RunConfig.model_fields[table].annotation
        return _beginning(incomplete, get_args(section.model_fields[key].annotation))  # type: ignore[union-attr]

    return offer


def datasets(incomplete: str) -> list[str]:
    """Offer the data sets that there are, those of plugins too."""
    from bigan_cli.plugins import load_registry

    return _beginning(incomplete, load_registry().datasets)


def architectures(incomplete: str) -> list[str]:
    """Offer the architectures that there are, likewise."""
    from bigan_cli.plugins import load_registry

    return _beginning(incomplete, load_registry().architectures)


def _beginning(incomplete: str, values: Iterable[str]) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]
