"""Names of plugins: how they are compared and joined, and the variable that selects by them."""

from __future__ import annotations

from collections.abc import Iterable

SWITCH = "BIGAN_PLUGINS"


def join_words(words: Iterable[str]) -> str:
    """Return *words* as ``"a, b and c"``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def normalize(name: str) -> str:
    """Return *name* in lower case with ``_`` for ``-``, as names are compared."""
    return name.lower().replace("-", "_")
