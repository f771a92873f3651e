"""Where plugins come from: built-in modules, installed packages, local files."""

from __future__ import annotations

import os
import pkgutil
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

from bigan_cli import __version__
from bigan_cli.errors import did_you_mean
from bigan_cli.plugins.names import SWITCH, normalize
from bigan_cli.plugins.registry import BUILT_IN, UNKNOWN, BrokenPlugin, Disabled, Kind

GROUP = "bigan"
LOCAL_MODULE = "bigan_local_"
"""How the names of modules made from local files begin."""


class PluginRejected(Exception):  # noqa: N818  turned into another error by this package
    """A plugin cannot be used; with the reason and an optional hint."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is loaded."""

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]


def built_ins(kind: Kind) -> Iterator[Candidate]:
    """Yield the built-in modules of *kind*."""
    if not kind.built_ins:
        return
    for module in pkgutil.iter_modules(import_module(kind.built_ins).__path__):
        if not module.name.startswith("_"):
            load = partial(import_module, f"{kind.built_ins}.{module.name}")
            yield Candidate(module.name, BUILT_IN, __version__, load)


@dataclass
class Selection:
    """The plugins that ``BIGAN_PLUGINS`` allows: names of plugins or packages, some with ``-``.

    Names allow these alone, names with ``-`` all but these; both together the former without
    the latter. Unset allows all, empty none.
    """

    setting: str | None

    def __post_init__(self) -> None:
        words = [w.strip() for w in (self.setting or "").split(",") if w.strip()]
        self._without = {normalize(w[1:].strip()): w for w in words if w.startswith("-")}
        self._only = {normalize(w): w for w in words if not w.startswith("-")}
        self._unseen = self._without | self._only

    def allows(self, plugin: str, distribution: str) -> bool:
        """Return whether to load a plugin, and record which names of the setting match it."""
        names = {normalize(plugin), normalize(distribution)}
        for name in names:
            self._unseen.pop(name, None)
        wanted = bool(names & self._only.keys()) if self._only else bool(self._everything)
        return wanted and not names & self._without.keys()

    @property
    def _everything(self) -> bool:
        return self.setting is None or bool(self._without)

    def unmet(self) -> list[str]:
        """Return the names that matched no plugin so far."""
        return list(self._unseen.values())


def installed(broken: list[BrokenPlugin], disabled: list[Disabled]) -> Iterator[Candidate]:
    """Yield the installed plugins that ``BIGAN_PLUGINS`` allows, by name and package."""
    selection = Selection(os.environ.get(SWITCH))
    found = [(entry, *_distribution_of(entry)) for entry in metadata.entry_points(group=GROUP)]
    # Packages are found in the order of a folder, which differs from machine to machine.
    for entry, name, version in sorted(found, key=lambda each: (each[0].name, *each[1:])):
        if selection.allows(entry.name, name):
            yield Candidate(entry.name, name, version, entry.load)
        else:
            disabled.append(Disabled(entry.name, name))
    for word in selection.unmet():
        reason = f"{SWITCH} names it, but no installed package provides it"
        broken.append(BrokenPlugin(word.lstrip("- "), "", "", reason))


def _distribution_of(entry: metadata.EntryPoint) -> tuple[str, str]:
    try:
        package = entry.dist
        return (str(package.name), str(package.version)) if package else (UNKNOWN, "")
    except Exception:  # noqa: BLE001  unreadable metadata of one package must not stop the others
        return UNKNOWN, ""


def local(path: Path) -> Candidate:
    """Return the plugin in the Python file *path*.

    Raises:
        PluginRejected: There is no such file, or it is not Python.
    """
    file = absolute(path)
    if not os.path.isfile(file):  # noqa: PTH113  False, not an error, for what cannot be a path
        raise PluginRejected(*_not_there(path))
    if path.suffix != ".py":
        # Another kind of file, a config file for instance, is not executed.
        raise PluginRejected("it is not a Python file (.py)")
    # Distinct from any module of the same file name that may be installed.
    stem = re.sub(r"[^0-9A-Za-z_]", "_", path.stem)
    name = f"{LOCAL_MODULE}{zlib.crc32(os.fsencode(file)):x}_{stem}"

    def load() -> Any:
        loader = SourceFileLoader(name, file)
        spec = ModuleSpec(name, loader, origin=file)
        spec.has_location = True  # so that the file has its __file__
        module = module_from_spec(spec)
        # Annotations written as strings are looked up there, by pydantic among others.
        sys.modules[name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    return Candidate(str(path), str(path), "", load)


def _not_there(path: Path) -> tuple[str, str]:
    """Return what is wrong with a path that leads to no file, and a hint."""
    hint = "'plugins' names Python files"
    try:
        if path.is_dir():
            return "it is a folder, not a file", hint
        beside = [other.name for other in Path(absolute(path)).parent.glob("*.py")]
    except (OSError, ValueError):  # what cannot be a path
        beside = []
    return "it does not exist", did_you_mean(path.name, beside) or hint


def absolute(path: Path) -> str:
    """Return *path* as an absolute path; ``~`` is the user's home, if there is one."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  never raises
