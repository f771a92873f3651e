"""Config files: a commented template, and checks that do not open the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigan_cli.atomic import expanded
from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.config.reference import template
from bigan_cli.config.resolve import DEFAULT_ARCHITECTURE, DEFAULT_DATASET
from bigan_cli.data.classes import resolve_classes
from bigan_cli.errors import BiganError, ConfigError, UsageError
from bigan_cli.plugins import load_registry


def config_template(
    dataset: str | None, architecture: str | None, plugins: Sequence[Path] = ()
) -> str:
    """Return a config file (TOML) with every key, its default and what it means.

    Args:
        dataset: Name of the dataset whose defaults and options are written.
        architecture: Name of the architecture; by default the one that suits the dataset.
        plugins: Plugin files.

    Raises:
        PluginError: A plugin is missing or broken.
    """
    registry = load_registry(plugins)
    data = registry.dataset(dataset or DEFAULT_DATASET)
    suited = data.preset.get("model", {}).get("architecture", DEFAULT_ARCHITECTURE)
    networks = registry.architecture(architecture or suited)
    files = [str(expanded(path).absolute()) for path in plugins]
    return template(registry, data, networks, files)


def check_config(file: Path, plugins: Sequence[Path] = ()) -> tuple[list[tuple[str, str]], bool]:
    """Return the problems of a config file, and whether the images' folder is still to be named.

    Args:
        file: The config file.
        plugins: Plugin files to run; those that *file* names are not run otherwise.
    """
    try:
        loaded = load_config(file=file, settings={"plugins": list(plugins) or None})
        data = loaded.config.data
        wants_root = loaded.registry.dataset(data.dataset).needs_root and data.root is None
        return _problems_with_data(file, loaded), wants_root
    except ConfigError as error:
        return list(error.problems), False
    except BiganError as error:
        return [(f"{file}: {error.message}", error.hint)], False


def _problems_with_data(file: Path, loaded: LoadedConfig) -> list[tuple[str, str]]:
    """Return the problems with the choice of classes that show without opening the data."""
    data = loaded.config.data
    dataset = loaded.registry.dataset(data.dataset)
    problems = []
    chosen = [("inlier", ref) for ref in data.inlier] + [("outlier", ref) for ref in data.outlier]
    for option, ref in chosen:
        try:
            if dataset.class_names is not None:
                resolve_classes([ref], dataset.class_names, option, dataset.name)
        except UsageError as error:
            problems.append((f"{file}: {error.message}", error.hint))
    return problems
