"""Inputs of a command: paths on the command line, and lists of paths on standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.errors import DataError, UsageError

if TYPE_CHECKING:
    from bigan_cli.data.sources.find import Input

STDIN = "-"
NullOption = Annotated[bool, typer.Option("--null", "-0", help="The list of - is NUL-separated.")]


def read_inputs(paths: Sequence[str], *, null: bool) -> Iterable[Input]:
    """Return *paths*, with ``-`` replaced by the paths on standard input, as they arrive.

    Args:
        paths: Files, folders and URLs, and at most one ``-``.
        null: Whether the list on standard input is separated by NUL.

    Raises:
        UsageError: Standard input is named twice or is closed, or *null* has no use.
    """
    if STDIN not in paths:
        if null:
            raise UsageError("--null is about the list on standard input", "pass - to read one")
        return paths
    if sys.stdin is None:
        raise UsageError("standard input is closed", "name the images, or pipe a list to -")
    if paths.count(STDIN) > 1:
        raise UsageError("standard input can be read only once")
    return _with_stdin(paths, b"\0" if null else b"\n")


def _with_stdin(paths: Sequence[str], separator: bytes) -> Iterator[Input]:
    from bigan_cli.data.sources.piped_paths import paths_from

    found = len(paths) > 1
    for path in paths:
        if path != STDIN:
            yield path
            continue
        for listed in paths_from(sys.stdin.fileno(), separator):
            found = True
            yield listed
    if not found:
        raise DataError("no paths on standard input")
