"""Merges all sources into one frozen :class:`RunConfig`, and reports all problems at once.

From the lowest to the highest: the schema's defaults, the preset of leave-one-out where that
protocol is used, the preset of the architecture, the dataset's (below that of an architecture that
is asked for), the chosen preset, the config file, the environment
(device and data folder, nothing else), ``--set``, the caller's settings. Tables are merged key
by key; any list replaces the one below. Files named in ``plugins`` of the config file are not
run: it may be somebody else's. They are run if the caller's settings name them, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from bigan_cli.config.constraints import TableSchema, shown
from bigan_cli.config.plugin_presets import preset_sources
from bigan_cli.config.presets import DEFAULT
from bigan_cli.config.resolve import (
    OptionsTable,
    expand_home,
    find_architecture,
    find_components,
    find_dataset,
    find_trackers,
    is_leave_one_out,
    owner_of,
    resolve_options,
    settle_options,
    settle_paths,
    settle_protocol,
)
from bigan_cli.config.schema import DataConfig, OutputConfig, RunConfig
from bigan_cli.config.sources import (
    ConfigSource,
    Keys,
    MergedConfig,
    Problem,
    absolute,
    environment_source,
    file_source,
    flatten,
    highest,
    invalid_reason,
    leave_one_out_source,
    set_source,
    settings_source,
)
from bigan_cli.config.validation_errors import problems_of
from bigan_cli.errors import ConfigError, PluginError
from bigan_cli.plugins import PluginVersion, Registry, load_registry

_PLUGINS: Keys = ("plugins",)
_SAVE_DIR: Keys = ("output", "save_dir")
_PRESET: Keys = ("train", "preset")


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration, and where its values come from.

    Attributes:
        config: Valid, with the options of dataset, architecture and components complete.
        registry: All plugins found, including the configuration's own plugin files.
        sources: Dotted key -> ``"default"``, ``"preset of mnist"``, the file, the variable,
            ``"--set"`` or ``"argument"`` (the caller's settings).
        notes: What was given and ignored, with the reason.
    """

    config: RunConfig
    registry: Registry
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()


def load_config(
    *,
    file: Path | None = None,
    sets: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    plugin_versions: Sequence[PluginVersion] = (),
    registry: Registry | None = None,
    complete: bool = False,
) -> LoadedConfig:
    """Return the configuration of a run.

    Args:
        file: A config file (TOML).
        sets: Texts ``TABLE.KEY=VALUE``; a value that is not TOML is taken as text, and
            ``a,b`` as a list where the key takes one.
        settings: Dotted key -> value, as ``{"train.lr": 1e-4}``; None means not given.
        plugin_versions: The plugin versions of a run that is resumed.
        registry: A registry loaded before; by default plugins are loaded now.
        complete: Whether *file* is the complete configuration of a run, presets included.

    Raises:
        ConfigError: One or more settings are wrong; lists all problems.
        PluginError: A named plugin file is missing or broken.
    """
    problems: list[Problem] = []
    notes: list[str] = []
    below = [file_source(file)] if file is not None else []
    above = [set_source(sets, problems), settings_source(settings or {})]
    plugin_files = list(dict.fromkeys(_plugin_files(above)))
    if registry is None:
        registry = load_registry(
            [Path(path) for path in plugin_files],
            [Path(path) for path in _plugin_files(below)],
            plugin_versions,
        )
        if not complete:  # files of a run may have moved
            _check_plugin_files(registry)

    dataset = find_dataset(registry, MergedConfig([*below, *above]), problems)
    wanted = str(highest([*below, *above], _PRESET, DEFAULT))
    environment = environment_source(dataset, os.environ)
    given = [*below, environment, *above]
    preset = [] if complete else preset_sources(registry, dataset, given, wanted, notes)
    sources = settle_protocol([*preset, *below, environment, *above], problems)
    if is_leave_one_out(sources) and not complete:
        sources = [leave_one_out_source(), *sources]
    settled = settle_options(sources, notes)
    merged = MergedConfig(settled)
    _refuse_hidden(settled, merged, problems)
    _refuse_invalid(merged, problems)
    if dataset is not None:
        merged.replace(("data", "dataset"), dataset.name)
    if _is_list_of_text(merged.value(_PLUGINS)):
        merged.replace(_PLUGINS, plugin_files)
    settle_paths(merged, DataConfig, problems, ("data",))
    expand_home(merged, _SAVE_DIR, problems)

    architecture = find_architecture(registry, merged, problems)
    components = find_components(registry, merged, problems).values()
    trackers = find_trackers(registry, merged, problems).values()
    classes = (dataset, architecture, *components, *trackers)
    owners = [owner_of(cls) for cls in classes if cls is not None]
    config = _validated(merged, owners, problems)
    return LoadedConfig(config, registry, _sources(config, merged), tuple(notes))


def save_dir_of(file: Path | None, sets: Sequence[str], settings: Mapping[str, Any]) -> Path:
    """Return ``output.save_dir`` alone; no plugin is loaded, and nothing else is looked at.

    Raises:
        ConfigError: It is not a path, or *sets* cannot be read.
    """
    problems: list[Problem] = []
    sources = [file_source(file)] if file is not None else []
    sources += [set_source(sets, problems), settings_source(settings)]
    merged = MergedConfig(sources)
    usual = str(OutputConfig().save_dir)
    path = merged.value(_SAVE_DIR, usual)
    if not isinstance(path, str):
        problems.append((f"{''.join(merged.place(_SAVE_DIR))} must be a path", ""))
    expand_home(merged, _SAVE_DIR, problems)
    if problems:
        raise ConfigError(problems)
    return Path(merged.value(_SAVE_DIR, usual))


def _plugin_files(sources: Sequence[ConfigSource]) -> Iterator[str]:
    for source in sources:
        paths = source.values.get(_PLUGINS)
        if _is_list_of_text(paths) and not invalid_reason(paths):
            yield from (absolute(path, source.base) for path in paths)


def _check_plugin_files(registry: Registry) -> None:
    """Raise PluginError if a plugin file that the config file names is missing."""
    for broken in registry.broken:
        if broken.is_local and not broken.unnamed:
            raise PluginError(str(broken))


def _is_list_of_text(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _refuse_hidden(
    sources: Sequence[ConfigSource], merged: MergedConfig, problems: list[Problem]
) -> None:
    """Refuse a value in place of a table that a higher source has keys of, which hides it."""
    schema = TableSchema.of(RunConfig)
    for source in sources:
        for keys, value in source.values.items():
            part = schema.at(keys) or {}
            if value != {} and merged.under(keys) and part.get("type") == "object":
                said = f"{source.label_of(keys)}: {'.'.join(keys)}"
                problems.append((f"{said} must be a table, got {shown(value)}", ""))


def _refuse_invalid(merged: MergedConfig, problems: list[Problem]) -> None:
    """Drop values that no key can take, with a problem for each."""
    for keys, entry in list(merged.entries.items()):
        invalid = invalid_reason(entry.value)
        if invalid:
            prefix, subject = merged.place(keys)
            problems.append((f"{prefix}{subject} {invalid}", ""))
            merged.drop(keys)


def _validated(
    merged: MergedConfig, owners: Sequence[OptionsTable], problems: list[Problem]
) -> RunConfig:
    options: dict[Keys, dict[str, Any]] = {}
    for owner in owners:
        settle_paths(merged, owner.options, problems, owner.table)
        options[owner.table] = resolve_options(merged, owner, problems)
    tree = merged.tree()
    try:
        config = RunConfig.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        problems.extend(problems_of(error, merged, TableSchema.of(RunConfig)))
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


def _sources(config: RunConfig, merged: MergedConfig) -> dict[str, str]:
    sources = {}
    for keys, _ in flatten(config.model_dump(mode="json", by_alias=True)):
        entry = merged.entries.get(keys)
        sources[".".join(keys)] = entry.source.label_of(keys) if entry else "default"
    return sources
