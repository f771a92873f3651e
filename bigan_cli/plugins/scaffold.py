"""Writes the package of a new plugin: a start that works, is tested, and can be installed.

The templates in ``templates`` are such packages themselves, of a plugin called ``newplugin``;
files common to all kinds are in ``templates/common``.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bigan_cli import __version__
from bigan_cli.errors import UsageError
from bigan_cli.plugins.registry import ARCHITECTURE, COMPONENT, DATASET, TRACKER, Kind

KINDS = {
    "dataset": DATASET,
    "architecture": ARCHITECTURE,
    "score": COMPONENT,
    "tracker": TRACKER,
}
"""What the command line calls each kind of plugin."""

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST = 40
_PREFIX = "bigan-"
# Its package would be the one of bigan itself.
_TAKEN = "cli"


def plugin_name(text: str) -> str:
    """Return *text* as the name of a plugin: lower case, words joined by ``_``.

    Raises:
        UsageError: It cannot be one.
    """
    name = text.strip().lower().removeprefix(_PREFIX)
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"'{text}' cannot be the name of a plugin",
            f"up to {_LONGEST} letters and digits, the first a letter; words joined by - or _, "
            "as in tree-frogs",
        )
    if name == _TAKEN:
        raise UsageError(f"'{text}' cannot be the name of a plugin", "bigan-cli is bigan itself")
    return name.replace("-", "_")


def write_package(name: str, kind: str, parent: Path) -> Path:
    """Write the package ``bigan-NAME`` into the folder *parent*, whole or not at all.

    Args:
        name: As :func:`plugin_name` returns it.
        kind: One of :data:`KINDS`.
        parent: Made where it is missing.

    Returns:
        The folder of the package.

    Raises:
        UsageError: It is there already.
        OSError: It cannot be written.
    """
    target = parent / _in_dashes(name)
    if os.path.lexists(target):
        raise UsageError(f"{target} exists", "choose another name or another folder")
    rendered = dict(_rendered(name, kind))
    parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
    try:
        for place, text in rendered.items():
            (unfinished / place).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / place).write_text(text, encoding="utf-8", newline="\n")
        unfinished.chmod(0o755)  # mkdtemp makes it for its owner alone
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return target


def _rendered(name: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield (path in the package, text) of each file."""
    folders = (_TEMPLATES / "common", _TEMPLATES / kind)
    files = {
        file.relative_to(folder).as_posix(): file
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    modules = [Path(place).stem for place in files if re.fullmatch(r"[^/]+\.py", place)]
    words = {
        '"MODULES"': ", ".join(f'"{module}"' for module in modules),
        "bigan-cli>=0.0.1": f"bigan-cli>={'.'.join(__version__.split('.')[:2])}",
        "bigan-newplugin": _in_dashes(name),
        "NewPlugin": "".join(word.title() for word in name.split("_")),
        "newplugin": name,
    }
    for place, file in files.items():
        # The name of a file that begins with a dot would be passed over by some tools.
        where = ".gitignore" if place == "gitignore" else _with(words, place)
        yield where, _with(words, file.read_text(encoding="utf-8"))


def _with(words: dict[str, str], text: str) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def _in_dashes(name: str) -> str:
    return f"{_PREFIX}{name.replace('_', '-')}"


def kind_named(word: str) -> Kind:
    """Return the kind that the command line calls *word*.

    Raises:
        UsageError: There is none.
    """
    if word not in KINDS:
        raise UsageError(f"unknown kind '{word}': it is one of {', '.join(KINDS)}")
    return KINDS[word]
