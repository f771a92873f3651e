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
from bigan_cli.plugins.registry import BUILT_IN, BrokenPlugin, fold

GROUP = "bigan"
UNKNOWN = "unknown package"
BUILT_IN_PACKAGES = ("bigan_cli.datasets", "bigan_cli.architectures", "bigan_cli.detect.components")


class Refused(Exception):  # noqa: N818  it is an answer, and leaves this package as another error
    """Why a plugin cannot be used."""


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is loaded."""

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]


def built_ins() -> Iterator[Candidate]:
    """Yield every module of the built-in packages whose name does not start with ``_``."""
    for package in BUILT_IN_PACKAGES:
        for module in pkgutil.iter_modules(import_module(package).__path__):
            if not module.name.startswith("_"):
                load = partial(import_module, f"{package}.{module.name}")
                yield Candidate(module.name, BUILT_IN, __version__, load)


def installed(broken: list[BrokenPlugin]) -> Iterator[Candidate]:
    """Yield the installed plugins that ``BIGAN_PLUGINS`` lets through."""
    setting = os.environ.get("BIGAN_PLUGINS")
    words = [w.strip() for w in (setting or "").split(",") if w.strip()]
    without = {fold(w[1:]) for w in words if w.startswith("-")}
    only = {fold(w): w for w in words if not w.startswith("-")}
    everything = setting is None or (bool(without) and not only)
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda e: e.name):
        wanted = everything or only.pop(fold(entry.name), None) is not None
        if wanted and fold(entry.name) not in without:
            name, version = _distribution_of(entry)
            yield Candidate(entry.name, name, version, entry.load)
    for name in only.values():
        reason = "BIGAN_PLUGINS names it, but no installed package provides it"
        broken.append(BrokenPlugin(name, "", "", reason))


def _distribution_of(entry: metadata.EntryPoint) -> tuple[str, str]:
    try:
        package = entry.dist
        return (str(package.name), str(package.version)) if package else (UNKNOWN, "")
    except Exception:  # noqa: BLE001  a stranger's unreadable metadata stop nobody
        return UNKNOWN, ""


def local(path: Path) -> Candidate:
    """Return the plugin in the Python file *path*.

    Raises:
        Refused: There is no such file.
    """
    file = whole_path(path)
    if not os.path.isfile(file):  # noqa: PTH113  False, not an error, for what cannot be a path
        raise Refused("it is a folder, not a file" if path.is_dir() else "it does not exist")
    # Distinct from any module of the same file name that may be installed.
    stem = re.sub(r"[^0-9A-Za-z_]", "_", path.stem)
    name = f"bigan_local_{zlib.crc32(os.fsencode(file)):x}_{stem}"

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


def whole_path(path: Path) -> str:
    """Return *path* from the root on; ``~`` is the user's home where there is one."""
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  never raises
