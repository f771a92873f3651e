"""The one place that makes an instance of a plugin class from its options table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from bigan_cli.atomic import expanded
from bigan_cli.contracts import (
    Architecture,
    DataLocation,
    Dataset,
    Engine,
    Options,
    ScoreComponent,
    Tracker,
)
from bigan_cli.errors import PluginError, UsageError
from bigan_cli.plugins.faults import plugin_faults
from bigan_cli.plugins.registry import (
    ARCHITECTURE,
    COMPONENT,
    DATASET,
    ENGINE,
    TRACKER,
    Kind,
    Registry,
)

if TYPE_CHECKING:
    from bigan_cli.config.schema import DataConfig, ModelConfig, OutputConfig, ScoreConfig

T = TypeVar("T", Dataset, Architecture, Engine, ScoreComponent, Tracker)


def make_dataset(registry: Registry, config: DataConfig, cache: Path) -> Dataset:
    """Return the dataset that *config* names; no file is opened.

    Args:
        registry: Where it is found.
        config: Its name, options and folder.
        cache: Its folder where *config* names none.

    Raises:
        PluginError: There is no such dataset, or its options are wrong.
        UsageError: It needs ``data.root`` and there is none.
    """
    cls = registry.dataset(config.dataset)
    options = _options(cls, DATASET, config.options)
    if config.root is None and cls.needs_root:
        raise UsageError(f"the dataset {cls.name} needs a folder of images", "'data.root=DIR'")
    root = cache if config.root is None else expanded(config.root)
    return _made(registry, DATASET, cls, options, DataLocation(root, config.download))


def make_architecture(registry: Registry, config: ModelConfig) -> Architecture:
    """Return the architecture that *config* names.

    Raises:
        PluginError: There is no such architecture, or its options are wrong.
    """
    cls = registry.architecture(config.architecture)
    return _made(registry, ARCHITECTURE, cls, _options(cls, ARCHITECTURE, config.options))


def make_component(registry: Registry, name: str, config: ScoreConfig) -> ScoreComponent:
    """Return the score component *name* with the options in *config*.

    Raises:
        PluginError: There is no such component, or its options are wrong.
    """
    cls = registry.component(name)
    options = _options(cls, COMPONENT, config.options.get(cls.name, {}))
    return _made(registry, COMPONENT, cls, options)


def make_components(
    registry: Registry, names: Iterable[str], config: ScoreConfig
) -> list[ScoreComponent]:
    """Return the score components *names*; as :func:`make_component`."""
    return [make_component(registry, name, config) for name in names]


def make_tracker(registry: Registry, name: str, config: OutputConfig) -> Tracker:
    """Return the tracker *name* with the options in *config*.

    Raises:
        PluginError: There is no such tracker, or its options are wrong.
    """
    cls = registry.tracker(name)
    options = _options(cls, TRACKER, config.tracker_options.get(cls.name, {}))
    return _made(registry, TRACKER, cls, options)


def make_engine(registry: Registry, name: str) -> Engine:
    """Return the engine *name*.

    Raises:
        PluginError: There is no such engine.
    """
    return _made(registry, ENGINE, registry.engine(name))


def _made(registry: Registry, kind: Kind, cls: type[T], *arguments: Any) -> T:
    """Return an instance of *cls* that knows its provider.

    Raises:
        PluginError: The class's own code fails.
    """
    plugin: Any = cls.__new__(cls)  # known to what reports its faults before it is complete
    plugin.provided_by = registry.all_of(kind)[plugin.name].source
    with plugin_faults(plugin, "__init__()"):
        plugin.__init__(*arguments)
    made: T = plugin
    return made


def _options(cls: type[Any], kind: Kind, table: Mapping[str, Any]) -> Options:
    try:
        options: Options = cls.Options.from_table(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PluginError(
            f"the options of {kind.word} '{cls.name}' do not suit its installed version: "
            f"{f'{where}: ' if where else ''}{first['msg']}",
            "install the version of the plugin that the run was trained with",
        ) from error
    return options
