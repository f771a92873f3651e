"""What the layers mean together: choices that exclude each other, and what plugins decide."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bigan_cli.config.constraints import Json, TableSchema
from bigan_cli.config.flags import flag_of
from bigan_cli.config.schema import DataConfig, ModelConfig
from bigan_cli.config.sources import Given, Keys, Layer, Problem, absolute, highest, without
from bigan_cli.config.validation_errors import problems_of
from bigan_cli.contracts import Architecture, Dataset, Options, ScoreComponent
from bigan_cli.errors import PluginError
from bigan_cli.plugins import Registry

DATASET: Keys = ("data", "dataset")
ARCHITECTURE: Keys = ("model", "architecture")
COMPONENTS: Keys = ("score", "components")
_INLIER, _OUTLIER, _PROTOCOL = ("data", "inlier"), ("data", "outlier"), ("data", "protocol")
DEFAULT_DATASET: str = DataConfig.model_fields["dataset"].default
DEFAULT_ARCHITECTURE: str = ModelConfig.model_fields["architecture"].default

AnyPlugin = type[Dataset] | type[Architecture] | type[ScoreComponent]
P = TypeVar("P", Dataset, Architecture, ScoreComponent)


@dataclass(frozen=True)
class OptionsTable:
    """Whose options a table holds.

    Attributes:
        table: The keys that lead to the table.
        title: For messages, as ``"data set frogs"``.
        options: What the table may hold.
    """

    table: Keys
    title: str
    options: type[Options]


def settle_protocol(layers: Sequence[Layer], problems: list[Problem]) -> list[Layer]:
    """Let a higher layer's choice of normal classes replace a lower one's, however it is said.

    Normal classes are named by ``inlier``, or by ``outlier``, or by a protocol; these exclude
    each other, so what a higher layer says with one takes the others from the layers below.
    """
    settled: list[Layer] = []
    covered: set[Keys] = set()
    contradicted: set[str] = set()
    for layer in reversed(layers):
        kept = without(layer, covered)
        if kept.values.get(_PROTOCOL) in tuple(contradicted):
            kept = without(kept, [_PROTOCOL])
        settled.append(kept)
        inlier, outlier = kept.values.get(_INLIER), kept.values.get(_OUTLIER)
        if inlier and outlier:
            problems.append(_exclude_each_other(layer))
        protocol = kept.values.get(_PROTOCOL)
        if inlier or protocol in ("one-class", "folder"):
            covered.add(_OUTLIER)
        if outlier or protocol in ("leave-one-out", "folder"):
            covered.add(_INLIER)
        contradicted |= {"leave-one-out", "folder"} if inlier else set()
        contradicted |= {"one-class", "folder"} if outlier else set()
    return settled[::-1]


def is_leave_one_out(layers: Sequence[Layer]) -> bool:
    """Return whether the settled *layers* name anomalous classes, so that all others are normal."""
    return bool(highest(layers, _OUTLIER))


def _exclude_each_other(layer: Layer) -> Problem:
    names = [".".join(keys) for keys in (_INLIER, _OUTLIER)]
    if layer.kind == "flags":
        said = " and ".join(flag_of(name) for name in names)
    else:
        said = f"{layer.label}: {' and '.join(names)}"
    return f"{said} exclude each other", "give one; all other classes are implied"


def settle_options(layers: Sequence[Layer], notes: list[str]) -> list[Layer]:
    """Leave out options that stand beside the name of a data set or architecture not used.

    They belong to that one: a run file of ``dcgan`` can be used with ``--architecture other``.
    """
    settled = list(layers)
    for selector, default in ((DATASET, DEFAULT_DATASET), (ARCHITECTURE, DEFAULT_ARCHITECTURE)):
        used = highest(layers, selector, default)
        table = (selector[0], "options")
        for position, layer in enumerate(settled):
            named = layer.values.get(selector)
            if named is None and layer.kind == "preset" and selector == ARCHITECTURE:
                named = default
            foreign = [keys for keys in layer.values if keys[:2] == table]
            if named is not None and foreign and not _same(named, used):
                settled[position] = without(layer, foreign)
                notes.append(f"{layer.label}: [{'.'.join(table)}] is of {named}, and left out")
    return settled


def _same(one: Any, other: Any) -> bool:
    return str(one).lower().replace("-", "_") == str(other).lower().replace("-", "_")


def find_dataset(registry: Registry, given: Given, problems: list[Problem]) -> type[Dataset] | None:
    """Return the data set that was asked for, or None with the reason among *problems*."""
    return _find(registry.dataset, given, DATASET, DEFAULT_DATASET, problems)


def find_architecture(
    registry: Registry, given: Given, problems: list[Problem]
) -> type[Architecture] | None:
    """Return the architecture that was asked for, or None with the reason among *problems*."""
    return _find(registry.architecture, given, ARCHITECTURE, DEFAULT_ARCHITECTURE, problems)


def _find(
    find: Callable[[str], type[P]],
    given: Given,
    keys: Keys,
    default: str,
    problems: list[Problem],
) -> type[P] | None:
    name = given.value(keys, default)
    found = _look_up(find, name, given.place(keys)[0], problems)
    if found is not None:
        given.replace(keys, found.name)
    return found


def _look_up(
    find: Callable[[str], type[P]], name: Any, prefix: str, problems: list[Problem]
) -> type[P] | None:
    if not isinstance(name, str):
        return None  # the schema tells
    try:
        return find(name)
    except PluginError as error:
        problems.append((f"{prefix}{error.message}", error.hint))
        return None


def find_components(
    registry: Registry, given: Given, problems: list[Problem]
) -> dict[str, type[ScoreComponent]]:
    """Return the score components that are listed or have options, by their exact names.

    Weights and options of a component that a higher layer's list leaves out are dropped.
    """
    listed, found = _listed_components(registry, given, problems)
    for kind in ("weights", "options"):
        for keys, entry in given.under(("score", kind)).items():
            cls = _look_up(registry.component, keys[2], given.place(keys)[0], problems)
            if cls is None:
                continue
            if listed and cls.name not in found:
                if entry.rank >= given.entries[COMPONENTS].rank:
                    said = "".join(given.place(keys))
                    problems.append((f"{said} is of a component that score.components lacks", ""))
                given.drop(keys)
                continue
            given.rename(keys, ("score", kind, cls.name, *keys[3:]))
            if kind == "options" and not listed:
                found[cls.name] = cls
    return found


def _listed_components(
    registry: Registry, given: Given, problems: list[Problem]
) -> tuple[bool, dict[str, type[ScoreComponent]]]:
    """Return whether there is a list of components, and those on it that are known."""
    names = given.value(COMPONENTS)
    if not isinstance(names, list) or not names:
        return False, {}  # of a value that is no list the schema tells
    found: dict[str, type[ScoreComponent]] = {}
    for name in names:
        cls = _look_up(registry.component, name, given.place(COMPONENTS)[0], problems)
        if cls is not None and cls.name in found:
            said = "".join(given.place(COMPONENTS))
            problems.append((f"{said} lists '{cls.name}' twice", ""))
        elif cls is not None:
            found[cls.name] = cls
    if len(found) == len(names):
        given.replace(COMPONENTS, [*found])
    return True, found


def owner_of(cls: AnyPlugin) -> OptionsTable:
    """Return where in a run file the options of *cls* stand."""
    if issubclass(cls, Dataset):
        return OptionsTable(("data", "options"), f"data set {cls.name}", cls.Options)
    if issubclass(cls, Architecture):
        return OptionsTable(("model", "options"), f"architecture {cls.name}", cls.Options)
    return OptionsTable(("score", "options", cls.name), f"score component {cls.name}", cls.Options)


def resolve_options(given: Given, owner: OptionsTable, problems: list[Problem]) -> dict[str, Any]:
    """Return the options of one table, checked by their class and with its defaults."""
    raw: Any = given.tree()
    for key in owner.table:
        raw = raw.get(key, {}) if isinstance(raw, dict) else None
    if not isinstance(raw, dict):
        return {}  # the schema tells
    try:
        options = owner.options.from_table(raw)
        return options.model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        schema = TableSchema.of(owner.options)
        problems.extend(problems_of(error, given, schema, owner.table, owner.title))
    except Exception as error:  # noqa: BLE001  a stranger's validator may raise anything
        table = ".".join(owner.table)
        problems.append(
            (f"the {owner.title} cannot check [{table}]: {type(error).__name__}: {error}", "")
        )
    return {}


def settle_paths(
    given: Given, model: type[BaseModel], problems: list[Problem], table: Keys = ()
) -> None:
    """Make the paths of a table absolute, each as seen from where it was given."""
    schema = TableSchema.of(model)
    for key in schema.root.get("properties", {}):
        keys = (*table, key)
        part = schema.child(schema.root, key)
        if keys in given.entries and part is not None and _is_path(part, schema):
            entry = given.entries[keys]
            as_seen = partial(absolute, base=entry.layer.base)
            _refuse_empty(given, keys, problems)
            given.replace(keys, _each_text(entry.value, as_seen))


def expand_home(given: Given, keys: Keys, problems: list[Problem]) -> None:
    """Replace ``~`` in a path that stays relative to where the program runs."""
    _refuse_empty(given, keys, problems)
    given.replace(keys, _each_text(given.value(keys), os.path.expanduser))


def _refuse_empty(given: Given, keys: Keys, problems: list[Problem]) -> None:
    value = given.value(keys)
    if value == "" or (isinstance(value, list) and "" in value):
        said = "".join(given.place(keys))
        problems.append((f"{said} is an empty path", "leave it out, or write . for this folder"))


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _is_path(part: Json, schema: TableSchema) -> bool:
    part = schema.follow(part)
    inner = [*part.get("anyOf", ()), *([part["items"]] if "items" in part else [])]
    return "path" in part.get("format", "") or any(_is_path(p, schema) for p in inner)
