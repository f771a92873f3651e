"""Patterns of paths and URLs that name several files."""

from __future__ import annotations

import re
from glob import escape, glob, has_magic
from itertools import chain
from pathlib import Path

from bigan_cli.image_files import natural_key
from bigan_cli.locations.location import Location, locate
from bigan_cli.locations.remote_folders import is_remote_folder, matching_urls

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand_braces(text: str) -> list[str]:
    """Return *text* once for each choice of ``{a,b}`` and each number of ``{000..099}``.

    Numbers are padded with zeros to the length of the first; other braces stay.
    """
    found = _BRACES.search(text)
    if found is None:
        return [text]
    numbers = _RANGE.fullmatch(found[1])
    if numbers:
        first, last = numbers.groups()
        choices = [str(i).zfill(len(first)) for i in range(int(first), int(last) + 1)]
    else:
        choices = found[1].split(",")
        if len(choices) == 1:
            choices = [found[0]]
    rest = expand_braces(text[found.end() :])
    return [text[: found.start()] + choice + each for choice in choices for each in rest]


def matching_files(pattern: str, in_folder: str) -> list[Location]:
    """Return the files that a path or a URL names, each once, in natural order of their names.

    Args:
        pattern: With braces as in :func:`expand_braces`, and with ``*``, ``?`` and ``[...]``; in
            a URL these are in its last part.
        in_folder: Matches the files of a folder, for instance ``*.tar``.

    Raises:
        OSError: It cannot be listed.
        UsageError: A package for the URL is missing.
    """
    found = chain.from_iterable(_matching(each, in_folder) for each in expand_braces(pattern))
    return list(dict.fromkeys(found))


def _matching(pattern: str, in_folder: str) -> list[Location]:
    location = locate(pattern)
    if isinstance(location, Path):
        if location.is_dir():
            pattern = str(Path(escape(pattern)) / in_folder)
        elif location.exists() or not has_magic(pattern):
            return [location]
        return [Path(path) for path in sorted(glob(pattern), key=natural_key)]  # noqa: PTH207
    if not has_magic(location.name) and is_remote_folder(location):
        location = location / in_folder
    return list(matching_urls(location)) if has_magic(location.name) else [location]
