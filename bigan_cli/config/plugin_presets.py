"""The presets of the dataset and of the architecture of a run, below what is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bigan_cli.config.resolve import (
    ARCHITECTURE,
    DEFAULT_ARCHITECTURE,
    owner_of,
    resolve_options,
    settle_options,
    settle_paths,
)
from bigan_cli.config.sources import (
    ConfigSource,
    Keys,
    MergedConfig,
    Problem,
    absolute,
    effort_sources,
    highest,
    preset_source,
)
from bigan_cli.contracts import Dataset, Options
from bigan_cli.errors import PluginError
from bigan_cli.plugins import Registry
from bigan_cli.plugins.checks import describe_value, format_error

_TILE: Keys = ("data", "tile")


def preset_sources(
    registry: Registry,
    dataset: type[Dataset] | None,
    given: Sequence[ConfigSource],
    effort: str,
    notes: list[str],
) -> list[ConfigSource]:
    """Return the presets of architecture and dataset, and of the training effort, lowest first.

    Args:
        registry: The plugins.
        dataset: The dataset of the run; None if it was not found.
        given: What the presets are below, lowest first.
        effort: One of :data:`~bigan_cli.config.presets.PRESETS`.
        notes: Receives the reason of the dataset's preset.

    Raises:
        PluginError: The dataset's code fails.
    """
    sources: list[ConfigSource] = []
    asked_for = highest(given, ARCHITECTURE)
    options = None if dataset is None else _options_of(dataset, given)
    if dataset is not None and options is not None:
        tile = highest(given, _TILE)
        tables, reason = _preset_for(
            registry,
            dataset,
            _root(given),
            asked_for if isinstance(asked_for, str) else None,
            tile if isinstance(tile, int) else None,
            options,
        )
        sources.append(preset_source(dataset.name, tables))
        notes += [reason] if reason else []
    name = highest([*sources, *given], ARCHITECTURE, DEFAULT_ARCHITECTURE)
    with suppress(PluginError):  # reported when the architecture is looked up for the run
        architecture = registry.architecture(str(name))
        # A dataset's preset suits networks on pixels; an architecture that is asked for knows
        # better, such as which tasks its discriminator can learn.
        place = len(sources) if name == asked_for else 0
        sources.insert(place, preset_source(architecture.name, architecture.preset))
    return [*sources, *effort_sources(effort, sources)]


def _preset_for(
    registry: Registry,
    dataset: type[Dataset],
    root: Path | None,
    architecture: str | None,
    tile: int | None,
    options: Options,
) -> tuple[Mapping[str, Mapping[str, Any]], str]:
    """Return the preset of *dataset* and its reason.

    Raises:
        PluginError: The dataset's code fails, or returns something else.
    """
    subject = f"dataset '{dataset.name}' ({registry.datasets[dataset.name].source})"
    try:
        found: Any = dataset.preset_for(root, architecture, tile, options)
    except Exception as error:
        raise PluginError(f"{subject} failed in preset_for(): {format_error(error)}") from error
    pair = isinstance(found, tuple) and len(found) == 2
    tables: Any = found[0] if pair else None
    good = isinstance(tables, Mapping) and all(isinstance(t, Mapping) for t in tables.values())
    if not good or not isinstance(found[1], str):
        raise PluginError(
            f"{subject} does not keep its contract: preset_for() returned "
            f"{describe_value(found)}, not (tables, reason)"
        )
    return tables, found[1]


def _options_of(dataset: type[Dataset], given: Sequence[ConfigSource]) -> Options | None:
    """Return the options of *dataset*; None if they are invalid, which is reported later."""
    problems: list[Problem] = []
    merged, owner = MergedConfig(settle_options(given, [])), owner_of(dataset)
    settle_paths(merged, owner.options, problems, owner.table)
    table = resolve_options(merged, owner, problems)
    return None if problems else owner.options.from_table(table)


def _root(sources: Sequence[ConfigSource]) -> Path | None:
    """Return the folder of the data as given by the highest of *sources*, or None."""
    for source in reversed(sources):
        root = source.values.get(("data", "root"))
        if isinstance(root, str) and root:
            return Path(absolute(root, source.base))
    return None
