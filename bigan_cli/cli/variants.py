"""The syntax of ``--variant``: a name, and ``--set`` options."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bigan_cli.errors import UsageError

_HINT = "as in --variant plain='--set train.reconstruction_weight=0'"


def parse_variants(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return name -> settings ``TABLE.KEY=VALUE`` of texts ``NAME='--set TABLE.KEY=VALUE ...'``.

    Raises:
        UsageError: A text is not of this form, or a name occurs twice.
    """
    variants: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        name = name.strip()
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise UsageError(f"--variant {name}: {error}", _HINT) from error
        if not equals or not name:
            raise UsageError(f"--variant {text}: not NAME=OPTIONS", _HINT)
        if len(words) % 2 or any(word != "--set" for word in words[::2]):
            raise UsageError(f"--variant {name} may hold --set TABLE.KEY=VALUE only", _HINT)
        if name in variants:
            raise UsageError(f"there are two variants called {name}")
        variants[name] = tuple(words[1::2])
    return variants
