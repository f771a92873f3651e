"""Resolves what sources mean together: exclusive choices, and the options of plugins."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bigan_cli.config.constraints import Json, TableSchema
from bigan_cli.config.schema import DataConfig, ModelConfig
from bigan_cli.config.sources import (
    ConfigSource,
    Keys,
    MergedConfig,
    Problem,
    absolute,
    as_list,
    highest,
    without,
)
from bigan_cli.config.validation_errors import problems_of
from bigan_cli.contracts import Architecture, Dataset, Options, ScoreComponent, Tracker
from bigan_cli.errors import PluginError
from bigan_cli.plugins import Registry

DATASET: Keys = ("data", "dataset")
ARCHITECTURE: Keys = ("model", "architecture")
COMPONENTS: Keys = ("score", "components")
TRACKERS: Keys = ("output", "trackers")
_INLIER, _OUTLIER, _PROTOCOL = ("data", "inlier"), ("data", "outlier"), ("data", "protocol")
DEFAULT_DATASET: str = DataConfig.model_fields["dataset"].default
DEFAULT_ARCHITECTURE: str = ModelConfig.model_fields["architecture"].default

AnyPlugin = type[Dataset] | type[Architecture] | type[ScoreComponent] | type[Tracker]
P = TypeVar("P", Dataset, Architecture, ScoreComponent, Tracker)


@dataclass(frozen=True)
class OptionsTable:
    """A table of options of one plugin class.

    Attributes:
        table: The keys that lead to the table.
        title: For messages, as ``"dataset frogs"``.
        options: The class that declares the options.
    """

    table: Keys
    title: str
    options: type[Options]


def settle_protocol(sources: Sequence[ConfigSource], problems: list[Problem]) -> list[ConfigSource]:
    """Let a higher source's choice of normal classes replace a lower one's, whichever key has it.

    Normal classes are named by ``inlier``, or by ``outlier``, or by a protocol; these exclude
    each other, so a higher source's choice by one removes the others from the sources below.
    """
    settled: list[ConfigSource] = []
    covered: set[Keys] = set()
    contradicted: set[str] = set()
    for source in reversed(sources):
        kept = without(source, covered)
        if kept.values.get(_PROTOCOL) in tuple(contradicted):
            kept = without(kept, [_PROTOCOL])
        settled.append(kept)
        inlier, outlier = kept.values.get(_INLIER), kept.values.get(_OUTLIER)
        if inlier and outlier:
            problems.append(_exclude_each_other(source))
        protocol = kept.values.get(_PROTOCOL)
        if inlier or protocol in ("one-class", "folder"):
            covered.add(_OUTLIER)
        if outlier or protocol in ("leave-one-out", "folder"):
            covered.add(_INLIER)
        contradicted |= {"leave-one-out", "folder"} if inlier else set()
        contradicted |= {"one-class", "folder"} if outlier else set()
    return settled[::-1]


def is_leave_one_out(sources: Sequence[ConfigSource]) -> bool:
    """Return whether the settled *sources* name anomalous classes."""
    return bool(highest(sources, _OUTLIER))


def _exclude_each_other(source: ConfigSource) -> Problem:
    inlier, outlier = (".".join(keys) for keys in (_INLIER, _OUTLIER))
    if source.kind == "settings":
        both = f"'{inlier}' and '{outlier}'"
    else:
        both = f"{source.label}: {inlier} and {outlier}"
    return f"{both} exclude each other", "give one; all other classes are implied"


def settle_options(sources: Sequence[ConfigSource], notes: list[str]) -> list[ConfigSource]:
    """Leave out options given together with the name of a dataset or architecture not used.

    They belong to that one: a config file of ``dcgan`` can be used with another architecture.
    """
    settled = list(sources)
    for selector, default in ((DATASET, DEFAULT_DATASET), (ARCHITECTURE, DEFAULT_ARCHITECTURE)):
        used = highest(sources, selector, default)
        table = (selector[0], "options")
        for position, source in enumerate(settled):
            named = source.values.get(selector)
            if named is None and source.kind == "preset" and selector == ARCHITECTURE:
                named = default
            foreign = [keys for keys in source.values if keys[:2] == table]
            if named is not None and foreign and not _same(named, used):
                settled[position] = without(source, foreign)
                notes.append(
                    f"{source.label}: [{'.'.join(table)}] belongs to {named} and is ignored"
                )
    return settled


def _same(one: Any, other: Any) -> bool:
    return str(one).lower().replace("-", "_") == str(other).lower().replace("-", "_")


def find_dataset(
    registry: Registry, merged: MergedConfig, problems: list[Problem]
) -> type[Dataset] | None:
    """Return the configured dataset, or None with the reason among *problems*."""
    return _find(registry.dataset, merged, DATASET, DEFAULT_DATASET, problems)


def find_architecture(
    registry: Registry, merged: MergedConfig, problems: list[Problem]
) -> type[Architecture] | None:
    """Return the configured architecture, or None with the reason among *problems*."""
    return _find(registry.architecture, merged, ARCHITECTURE, DEFAULT_ARCHITECTURE, problems)


def _find(
    find: Callable[[str], type[P]],
    merged: MergedConfig,
    keys: Keys,
    default: str,
    problems: list[Problem],
) -> type[P] | None:
    name = merged.value(keys, default)
    found = _look_up(find, name, merged.place(keys)[0], problems)
    if found is not None:
        merged.replace(keys, found.name)
    return found


def _look_up(
    find: Callable[[str], type[P]], name: Any, prefix: str, problems: list[Problem]
) -> type[P] | None:
    if not isinstance(name, str):
        return None  # reported by the schema
    try:
        return find(name)
    except PluginError as error:
        problems.append((f"{prefix}{error.message}", error.hint))
        return None


def find_components(
    registry: Registry, merged: MergedConfig, problems: list[Problem]
) -> dict[str, type[ScoreComponent]]:
    """Return the score components that are listed or have options, by their exact names.

    Weights and options of a component that a higher source's list leaves out are dropped.
    """
    listed, found = _listed(registry.component, merged, COMPONENTS, problems)
    for kind in ("weights", "options"):
        for keys, entry in merged.under(("score", kind)).items():
            cls = _look_up(registry.component, keys[2], merged.place(keys)[0], problems)
            if cls is None:
                continue
            if listed and cls.name not in found:
                if entry.rank >= merged.entries[COMPONENTS].rank:
                    said = "".join(merged.place(keys))
                    problems.append((f"{said} is of a component that score.components lacks", ""))
                merged.drop(keys)
                continue
            merged.rename(keys, ("score", kind, cls.name, *keys[3:]))
            if kind == "options" and not listed:
                found[cls.name] = cls
    return found


def find_trackers(
    registry: Registry, merged: MergedConfig, problems: list[Problem]
) -> dict[str, type[Tracker]]:
    """Return the trackers that are listed or have options, by their exact names."""
    _, found = _listed(registry.tracker, merged, TRACKERS, problems)
    for keys in list(merged.under(("output", "tracker_options"))):
        cls = _look_up(registry.tracker, keys[2], merged.place(keys)[0], problems)
        if cls is not None:
            merged.rename(keys, (*keys[:2], cls.name, *keys[3:]))
            found[cls.name] = cls
    return found


def _listed(
    find: Callable[[str], type[P]], merged: MergedConfig, key: Keys, problems: list[Problem]
) -> tuple[bool, dict[str, type[P]]]:
    """Return whether there is a list of names at *key*, and the classes on it that are known."""
    names = merged.value(key)
    if not isinstance(names, list) or not names:
        return False, {}  # a value that is no list is reported by the schema
    found: dict[str, type[P]] = {}
    for name in names:
        cls = _look_up(find, name, merged.place(key)[0], problems)
        if cls is not None and cls.name in found:
            said = "".join(merged.place(key))
            problems.append((f"{said} lists '{cls.name}' twice", ""))
        elif cls is not None:
            found[cls.name] = cls
    if len(found) == len(names):
        merged.replace(key, [*found])
    return True, found


def owner_of(cls: AnyPlugin) -> OptionsTable:
    """Return the table of a config file that holds the options of *cls*."""
    if issubclass(cls, Dataset):
        return OptionsTable(("data", "options"), f"dataset {cls.name}", cls.Options)
    if issubclass(cls, Architecture):
        return OptionsTable(("model", "options"), f"architecture {cls.name}", cls.Options)
    if issubclass(cls, Tracker):
        table = ("output", "tracker_options", cls.name)
        return OptionsTable(table, f"tracker {cls.name}", cls.Options)
    return OptionsTable(("score", "options", cls.name), f"score component {cls.name}", cls.Options)


def resolve_options(
    merged: MergedConfig, owner: OptionsTable, problems: list[Problem]
) -> dict[str, Any]:
    """Return the options of one table, checked by their class and with its defaults."""
    schema = TableSchema.of(owner.options)
    for keys, entry in merged.under(owner.table).items():
        if entry.source.kind == "set":
            merged.replace(keys, as_list(entry.value, schema.at(keys[len(owner.table) :])))
    raw: Any = merged.tree()
    for key in owner.table:
        raw = raw.get(key, {}) if isinstance(raw, dict) else None
    if not isinstance(raw, dict):
        return {}  # reported by the schema
    try:
        options = owner.options.from_table(raw)
        return options.model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        problems.extend(problems_of(error, merged, schema, owner.table, owner.title))
    except Exception as error:  # noqa: BLE001  a third party's validator may raise anything
        table = ".".join(owner.table)
        problems.append(
            (f"the {owner.title} cannot check [{table}]: {type(error).__name__}: {error}", "")
        )
    return {}


def settle_paths(
    merged: MergedConfig, model: type[BaseModel], problems: list[Problem], table: Keys = ()
) -> None:
    """Make the paths of a table absolute, each relative to its source."""
    schema = TableSchema.of(model)
    for key in schema.root.get("properties", {}):
        keys = (*table, key)
        part = schema.child(schema.root, key)
        if keys in merged.entries and part is not None and _is_path(part, schema):
            entry = merged.entries[keys]
            as_seen = partial(absolute, base=entry.source.base)
            _refuse_empty(merged, keys, problems)
            merged.replace(keys, _each_text(entry.value, as_seen))


def expand_home(merged: MergedConfig, keys: Keys, problems: list[Problem]) -> None:
    """Replace ``~`` in a path that stays relative to where the program runs."""
    _refuse_empty(merged, keys, problems)
    merged.replace(keys, _each_text(merged.value(keys), os.path.expanduser))


def _refuse_empty(merged: MergedConfig, keys: Keys, problems: list[Problem]) -> None:
    value = merged.value(keys)
    if value == "" or (isinstance(value, list) and "" in value):
        said = "".join(merged.place(keys))
        problems.append((f"{said} is an empty path", "leave it out, or write . for this folder"))


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _is_path(part: Json, schema: TableSchema) -> bool:
    part = schema.follow(part)
    inner = [*part.get("anyOf", ()), *([part["items"]] if "items" in part else [])]
    return "path" in part.get("format", "") or any(_is_path(p, schema) for p in inner)
