"""Names of plugins: how they are compared and joined, and the variable that chooses by them."""

from __future__ import annotations

from collections.abc import Iterable

SWITCH = "BIGAN_PLUGINS"


def listed(words: Iterable[str]) -> str:
    """Return *words* as ``"a, b and c"``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def fold(name: str) -> str:
    """Return *name* without regard to case and to ``-`` for ``_``."""
    return name.lower().replace("-", "_")
