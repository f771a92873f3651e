"""Puts one frozen :class:`RunConfig` together, and tells all that is wrong with it at once.

From the lowest to the highest: the schema's defaults, what suits leave-one-out where that is
asked for, the data set's preset, the preset asked for, the run file, the environment (which
device and which data folder, nothing else), ``--set``, flags. Tables are merged key by key.
Files named in ``plugins`` add up; any other list replaces the one below.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from bigan_cli.config.constraints import Json, TableSchema, shown
from bigan_cli.config.presets import DEFAULT
from bigan_cli.config.resolve import (
    OptionsTable,
    expand_home,
    find_architecture,
    find_components,
    find_dataset,
    is_leave_one_out,
    owner_of,
    resolve_options,
    settle_options,
    settle_paths,
    settle_protocol,
)
from bigan_cli.config.schema import DataConfig, RunConfig
from bigan_cli.config.sources import (
    Given,
    Keys,
    Layer,
    Problem,
    absolute,
    flatten,
    highest,
    is_odd,
    layer_of_environment,
    layer_of_file,
    layer_of_flags,
    layer_of_leave_one_out,
    layer_of_sets,
    layers_of_presets,
)
from bigan_cli.config.validation_errors import problems_of
from bigan_cli.errors import ConfigError
from bigan_cli.plugins import PluginVersion, Registry, load_registry

_PLUGINS: Keys = ("plugins",)
_PRESET: Keys = ("train", "preset")


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration, and how it came about.

    Attributes:
        config: Valid, with the options of data set, architecture and components complete.
        registry: What was found, the local plugin files of the configuration included.
        origins: Dotted key -> ``"default"``, ``"preset of mnist"``, the file, the variable,
            ``"--set"`` or the flag that decided it.
        notes: What was given and left out, in words.
    """

    config: RunConfig
    registry: Registry
    origins: Mapping[str, str]
    notes: tuple[str, ...] = ()


def load_config(
    *,
    file: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    plugin_versions: Sequence[PluginVersion] = (),
    registry: Registry | None = None,
    complete: bool = False,
) -> LoadedConfig:
    """Return the configuration of a run.

    Args:
        file: A run file (TOML).
        sets: Texts ``TABLE.KEY=VALUE``; a value that is not TOML is taken as text.
        flags: Dotted key -> value; None means not given.
        plugin_versions: Of a run that goes on, whence its plugins came.
        registry: What was loaded before, so that no plugin file is to be loaded now.
        complete: *file* is what a run was made with: presets are in it already, and what an
            earlier version left out is as by default.

    Raises:
        ConfigError: With all problems found.
        PluginError: A plugin file that was named is missing or broken.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    below = [layer_of_file(file)] if file is not None else []
    above = [layer_of_sets(sets, problems), layer_of_flags(flags or {})]
    plugin_files = list(dict.fromkeys(_plugin_files([*below, *above])))
    if registry is None:
        registry = load_registry(
            [Path(path) for path in plugin_files], plugin_versions=plugin_versions
        )

    dataset = find_dataset(registry, Given([*below, *above]), problems)
    wanted = str(highest([*below, *above], _PRESET, DEFAULT))
    preset = [] if complete else layers_of_presets(dataset, wanted)
    environment = layer_of_environment(dataset, os.environ)
    layers = settle_protocol([*preset, *below, environment, *above], problems)
    if is_leave_one_out(layers) and not complete:
        layers = [layer_of_leave_one_out(), *layers]
    settled = settle_options(layers, notes)
    given = Given(settled)
    _refuse_hidden(settled, given, problems)
    _refuse_odd(given, problems)
    if dataset is not None:
        given.replace(("data", "dataset"), dataset.name)
    if _is_list_of_text(given.value(_PLUGINS)):
        given.replace(_PLUGINS, plugin_files)
    settle_paths(given, DataConfig, problems, ("data",))
    expand_home(given, ("output", "save_dir"), problems)

    architecture = find_architecture(registry, given, problems)
    components = find_components(registry, given, problems).values()
    owners = [owner_of(cls) for cls in (dataset, architecture, *components) if cls is not None]
    config = _validated(given, owners, problems)
    return LoadedConfig(config, registry, _origins(config, given), tuple(notes))


def _plugin_files(layers: Sequence[Layer]) -> Iterator[str]:
    for layer in layers:
        paths = layer.values.get(_PLUGINS)
        if _is_list_of_text(paths) and not is_odd(paths):
            yield from (absolute(path, layer.base) for path in paths)


def _is_list_of_text(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _refuse_hidden(layers: Sequence[Layer], given: Given, problems: list[Problem]) -> None:
    """Tell of a value in place of a table; where a higher layer has keys of it, none else does."""
    schema = TableSchema.of(RunConfig)
    for layer in layers:
        for keys, value in layer.values.items():
            if value != {} and given.under(keys) and _is_table(schema, keys):
                said = f"{layer.label_of(keys)}: {'.'.join(keys)}"
                problems.append((f"{said} must be a table, got {shown(value)}", ""))


def _is_table(schema: TableSchema, keys: Keys) -> bool:
    part: Json | None = schema.root
    for key in keys:
        part = schema.child(part, key) if part is not None else None
    return part is not None and part.get("type") == "object"


def _refuse_odd(given: Given, problems: list[Problem]) -> None:
    """Take out what cannot be a value of any key, with a problem for each."""
    for keys, entry in list(given.entries.items()):
        odd = is_odd(entry.value)
        if odd:
            prefix, subject = given.place(keys)
            problems.append((f"{prefix}{subject} {odd}", ""))
            given.drop(keys)


def _validated(given: Given, owners: Sequence[OptionsTable], problems: list[Problem]) -> RunConfig:
    options: dict[Keys, dict[str, Any]] = {}
    for owner in owners:
        settle_paths(given, owner.options, problems, owner.table)
        options[owner.table] = resolve_options(given, owner, problems)
    tree = given.tree()
    try:
        config = RunConfig.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        problems.extend(problems_of(error, given, TableSchema.of(RunConfig)))
    if problems:
        raise ConfigError(problems)
    complete = config.model_dump(mode="json", by_alias=True)
    for (*tables, last), values in options.items():
        table = complete
        for key in tables:
            table = table[key]
        if values:
            table[last] = values
    return RunConfig.model_validate_json(json.dumps(complete))


def _origins(config: RunConfig, given: Given) -> dict[str, str]:
    origins = {}
    for keys, _ in flatten(config.model_dump(mode="json", by_alias=True)):
        entry = given.entries.get(keys)
        origins[".".join(keys)] = entry.layer.label_of(keys) if entry else "default"
    return origins
