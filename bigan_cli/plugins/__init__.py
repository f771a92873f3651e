"""Finds data sets, architectures and score components, one plugin at a time.

A plugin is a built-in module, an installed package with an entry point of the group ``bigan``,
or a file that the user names. All three go through the same hooks and the same checks. Each is
loaded on its own, so a broken one takes nothing with it: the reason is kept, and it only matters
to a run that asks for something the broken plugin would have provided.

The environment variable ``BIGAN_PLUGINS`` chooses among the installed packages: a comma list of
plugin names loads these alone, the empty string none, ``-name`` all but that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bigan_cli.errors import PluginError
from bigan_cli.plugins.checks import offers_of
from bigan_cli.plugins.registry import (
    ARCHITECTURE,
    BUILT_IN,
    COMPONENT,
    DATASET,
    KINDS,
    BrokenPlugin,
    PluginInfo,
    Provided,
    Registry,
)
from bigan_cli.plugins.sources import Candidate, Refused, built_ins, installed, local, whole_path

__all__ = [
    "BUILT_IN",
    "BrokenPlugin",
    "PluginInfo",
    "Provided",
    "Registry",
    "load_registry",
]


def load_registry(local_files: Sequence[Path] = ()) -> Registry:
    """Load the built-ins, the installed plugins and *local_files*, each guarded on its own.

    Args:
        local_files: Python files with hooks, which the user asked for.

    Raises:
        PluginError: One of *local_files* is missing or broken.
    """
    found: dict[str, dict[str, list[Provided[Any]]]] = {kind.hook: {} for kind in KINDS}
    plugins: list[PluginInfo] = []
    broken: list[BrokenPlugin] = []

    def add(candidate: Candidate) -> None:
        offers = offers_of(candidate)
        provides = {hook: tuple(cls.name for cls in classes) for hook, classes in offers.items()}
        source = (candidate.name, candidate.distribution, candidate.version)
        plugins.append(PluginInfo(*source, provides))
        for hook, classes in offers.items():
            for cls in classes:
                found[hook].setdefault(cls.name, []).append(Provided(cls, *source))

    for candidate in (*built_ins(), *installed(broken)):
        try:
            add(candidate)
        except Refused as refused:
            broken.append(
                BrokenPlugin(
                    candidate.name, candidate.distribution, candidate.version, str(refused)
                )
            )
    for path in {whole_path(path): path for path in local_files}.values():
        try:
            add(local(path))
        except Refused as refused:
            raise PluginError(f"plugin file {path}: {refused}") from refused

    first = {h: {n: all_[0] for n, all_ in names.items()} for h, names in found.items()}
    return Registry(
        datasets=first[DATASET.hook],
        architectures=first[ARCHITECTURE.hook],
        components=first[COMPONENT.hook],
        plugins=tuple(plugins),
        broken=tuple(broken),
        clashes={
            h: {n: tuple(all_) for n, all_ in names.items() if len(all_) > 1}
            for h, names in found.items()
        },
    )
