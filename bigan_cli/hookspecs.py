"""The hooks that provide datasets, architectures, score components, trackers and engines.

A plugin is a module (or object) named by an entry point of the group ``bigan``::

    [project.entry-points.bigan]
    frogs = "bigan_frogs"

and implements any of these functions, each marked with :data:`hookimpl`. The built-in
datasets, architectures and score components use the same hooks. Every hook returns *classes*;
each class has a name, a one-line summary and typed options, so nothing else is registered.

Hooks take no arguments. Each plugin is imported, registered and called separately: any error,
including a misspelt hook or a wrong argument, disables that plugin only, and the reason is kept
for ``bigan plugins`` and for a run that needs it.

A module may name the version of this interface that it was written for, ``bigan_api = 1``;
another one than :data:`API_VERSION` is refused. ``docs/plugins.md`` has complete examples, and
``bigan plugins new`` writes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from bigan_cli.contracts import Architecture, Dataset, Engine, ScoreComponent, Tracker

PROJECT = "bigan"
API_VERSION = 1
"""Incremented when a plugin that fulfils the contracts might no longer work."""


hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def bigan_datasets() -> list[type[Dataset]]:  # type: ignore[empty-body]
    """Return the dataset classes of this plugin.

    Called once, before the configuration is read. Do not open files or import heavy
    packages here: methods of the class are called only when a run uses it.
    """


@hookspec
def bigan_architectures() -> list[type[Architecture]]:  # type: ignore[empty-body]
    """Return the architecture classes of this plugin.

    Called once, before the configuration is read. Import torch inside ``build``, not here.
    """


@hookspec
def bigan_score_components() -> list[type[ScoreComponent]]:  # type: ignore[empty-body]
    """Return the score-component classes of this plugin.

    Called once, before the configuration is read. Import torch inside the methods.
    """


@hookspec
def bigan_trackers() -> list[type[Tracker]]:  # type: ignore[empty-body]
    """Return the tracker classes of this plugin.

    Called once, before the configuration is read. Import the tracker's library inside the
    methods: they are called only by a training that the user told to use it.
    """


@hookspec
def bigan_engines() -> list[type[Engine]]:  # type: ignore[empty-body]
    """Return the engine classes of this plugin, which spread a scoring over processes.

    Called once, before the configuration is read. Import the engine's library inside ``run``.
    """
