"""Finds datasets, architectures, components, trackers and engines, one plugin at a time.

A plugin is a built-in module, an installed package with an entry point of the group ``bigan``,
or a file that the user names. A file that only a config file, a run or a model names is not run:
it may be somebody else's code. All three go through the same hooks and the same checks. Each is
loaded on its own, so a broken one affects no other: the reason is kept, and matters only to a
run that asks for something the broken plugin would have provided. A built-in module provides one
class of its own name, so its name is known without importing it; it is imported when the class is
used.

The environment variable ``BIGAN_PLUGINS`` chooses among the installed packages: a comma list of
plugin or package names loads these alone, the empty string none, ``-name`` all but that one.
What comes with bigan is never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from bigan_cli.errors import PluginError
from bigan_cli.plugins.registry import (
    ARCHITECTURE,
    BUILT_IN,
    COMPONENT,
    DATASET,
    ENGINE,
    KINDS,
    TRACKER,
    BrokenPlugin,
    Disabled,
    Kind,
    PluginInfo,
    Provided,
    Registry,
    Shadowed,
)
from bigan_cli.plugins.sources import (
    Candidate,
    PluginRejected,
    absolute,
    built_ins,
    installed,
    local,
)
from bigan_cli.plugins.versions import PluginVersion

__all__ = [
    "BUILT_IN",
    "BrokenPlugin",
    "PluginInfo",
    "PluginVersion",
    "Provided",
    "Registry",
    "load_registry",
]


def load_registry(
    local_files: Sequence[Path] = (),
    unnamed_files: Sequence[Path] = (),
    plugin_versions: Sequence[PluginVersion] = (),
) -> Registry:
    """Load the built-ins, the installed plugins and local files, each guarded on its own.

    Args:
        local_files: Python files with hooks, that the user named.
        unnamed_files: Such files that only a config file, a run or a model names, which may be
            somebody else's. They are never run. What they would provide is missing, unless
            something else provides it; the error then names them.
        plugin_versions: The plugin versions of the run or model.

    Raises:
        PluginError: One of *local_files* is missing or broken.
    """
    found = _Found()
    disabled: list[Disabled] = []
    for kind in KINDS:
        found.add_built_ins(kind)
    for candidate in installed(found.broken, disabled):
        try:
            found.add(candidate)
        except PluginRejected as error:
            found.refuse(candidate.name, candidate.distribution, candidate.version, error)
    named = {absolute(path): path for path in local_files}
    for path in named.values():
        try:
            found.add(local(path))
        except PluginRejected as error:
            raise PluginError(f"plugin file {path}: {error}", error.hint) from error
    for path in {absolute(path): path for path in unnamed_files}.values():
        if absolute(path) not in named:
            found.leave_out(path)
    return found.registry(tuple(disabled), tuple(plugin_versions))


class _Found:
    """The plugins found so far."""

    def __init__(self) -> None:
        self.broken: list[BrokenPlugin] = []
        self._plugins: list[PluginInfo] = []
        self._shadowed: list[Shadowed] = []
        self._provided: dict[str, dict[str, list[Provided[Any]]]] = {k.hook: {} for k in KINDS}

    def add_built_ins(self, kind: Kind) -> None:
        """Add the built-in classes of *kind*, which are imported when they are used."""
        for built_in in built_ins(kind):
            name = built_in.name
            source = (name, built_in.distribution, built_in.version)
            load = cache(partial(_built_in_class, kind, built_in))
            self._provided[kind.hook][name] = [Provided(name, *source, load)]
            self._plugins.append(PluginInfo(*source, {kind.hook: (name,)}))

    def add(self, candidate: Candidate) -> None:
        """Load a plugin and add the classes that it provides.

        Raises:
            PluginRejected: The plugin cannot be used.
        """
        from bigan_cli.plugins.checks import load_classes

        offers = load_classes(candidate)
        source = (candidate.name, candidate.distribution, candidate.version)
        offered = [
            (kind, Provided(cls.name, *source, _returning(cls)))
            for kind in KINDS
            for cls in offers.get(kind.hook, ())
        ]
        for kind, provided in offered:
            self._check_free(kind, provided)
        for kind, provided in offered:
            same = self._provided[kind.hook].setdefault(provided.name, [])
            if same and same[0].distribution == BUILT_IN:
                self._shadowed.append(Shadowed(kind, provided))
            else:
                same.append(provided)
        provides = {hook: tuple(cls.name for cls in classes) for hook, classes in offers.items()}
        self._plugins.append(PluginInfo(*source, provides))

    def _check_free(self, kind: Kind, provided: Provided[Any]) -> None:
        """Refuse a file whose class has the name of a built-in, which would hide it."""
        name = provided.name
        same = self._provided[kind.hook].get(name)
        if provided.is_local and same and same[0].distribution == BUILT_IN:
            raise PluginRejected(
                f"its {kind.word} '{name}' has the name of one that comes with bigan",
                f"give {provided.cls.__name__}.name another value",
            )

    def refuse(self, name: str, distribution: str, version: str, why: PluginRejected) -> None:
        """Record why a plugin is not used."""
        self.broken.append(BrokenPlugin(name, distribution, version, str(why)))

    def leave_out(self, path: Path) -> None:
        """Record the plugin file *path*, which is not run because the user did not name it."""
        name = str(path)
        try:
            local(path)
        except PluginRejected as error:
            self.refuse(name, name, "", error)
        else:
            reason = "it is run only if you name it"
            self.broken.append(BrokenPlugin(name, name, "", reason, unnamed=True))

    def registry(
        self, disabled: tuple[Disabled, ...], plugin_versions: tuple[PluginVersion, ...]
    ) -> Registry:
        """Return the registry."""
        first = {
            h: {n: all_[0] for n, all_ in names.items()} for h, names in self._provided.items()
        }
        return Registry(
            datasets=first[DATASET.hook],
            architectures=first[ARCHITECTURE.hook],
            components=first[COMPONENT.hook],
            trackers=first[TRACKER.hook],
            engines=first[ENGINE.hook],
            plugins=tuple(self._plugins),
            broken=tuple(self.broken),
            clashes={
                h: {n: tuple(all_) for n, all_ in names.items() if len(all_) > 1}
                for h, names in self._provided.items()
            },
            shadowed=tuple(self._shadowed),
            disabled=disabled,
            plugin_versions=plugin_versions,
        )


def _returning(cls: type[Any]) -> Callable[[], type[Any]]:
    return lambda: cls


def _built_in_class(kind: Kind, built_in: Candidate) -> type[Any]:
    """Import a built-in module and return its class.

    Raises:
        PluginError: It cannot be used.
    """
    from bigan_cli.plugins.checks import load_classes

    try:
        (cls,) = load_classes(built_in)[kind.hook]
    except PluginRejected as error:
        message = f"{kind.word} '{built_in.name}' of bigan itself is broken: {error}"
        raise PluginError(message, "install bigan again") from error
    return cls
