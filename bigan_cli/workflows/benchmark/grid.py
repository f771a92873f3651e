"""The grid of a benchmark: its cells, and the settings that they share."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.config.sources import Problem, flatten, set_source
from bigan_cli.config.toml import read_toml
from bigan_cli.contracts import Dataset
from bigan_cli.data.classes import resolve_classes
from bigan_cli.data.prepare import open_dataset
from bigan_cli.errors import ConfigError, UsageError

ALL = "all"

# Settings that differ between cells or machines -> the benchmark's own option for each.
_OWN_OPTIONS = {
    "train.preset": "preset",
    "plugins": "plugin",
    "data.dataset": "dataset",
    "data.inlier": "inlier",
    "data.outlier": "outlier",
    "data.root": "data-root",
    "train.seed": "seed",
    "train.device": "device",
    "output.save_dir": "output",
}
_VARIANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_PROTOCOLS = {"inlier": "one-class", "outlier": "leave-one-out", "": "of the dataset"}

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    Attributes:
        name: Unique in the benchmark; the name of the run directory.
        dataset: Name of the dataset.
        option: ``inlier``, ``outlier``, or empty where the dataset or the config file decides.
        classes: The names of the classes for *option*.
        seed: Random seed.
        preset: Name of the preset, or None for the dataset's own.
        variant: Name of the variant, or None.
        sets: Settings as ``TABLE.KEY=VALUE``: those of all cells, then those of the variant.
        device: The device for training and evaluation.
    """

    name: str
    dataset: str
    option: str
    classes: tuple[str, ...]
    seed: int
    preset: str | None
    variant: str | None
    sets: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class SharedSettings:
    """The common settings of all cells, besides their ``sets``.

    Attributes:
        config: A config file (TOML), or None.
        plugins: Plugin files.
        device: The requested device, or None.
        data_root: Folder with the data, or None for this machine's data folder.
    """

    config: Path | None
    plugins: tuple[Path, ...]
    device: str | None
    data_root: Path | None


@dataclass(frozen=True)
class Grid:
    """All cells of a benchmark, and what they share.

    Attributes:
        cells: In the order in which they are run.
        shared: The settings that all cells share.
        settings: What may not differ within one output folder, as plain values.
        arguments: Option -> its values, as given; files by their names only.
    """

    cells: tuple[Cell, ...]
    shared: SharedSettings
    settings: Mapping[str, Any]
    arguments: Mapping[str, Sequence[object]]


def make_grid(
    *,
    datasets: Sequence[str] = (),
    inlier: Sequence[int | str] = (),
    outlier: Sequence[int | str] = (),
    seeds: Sequence[int] = (),
    presets: Sequence[str] = (),
    variants: Mapping[str, Sequence[str]] | None = None,
    sets: Sequence[str] = (),
    config: Path | None = None,
    plugins: Sequence[Path] = (),
    device: str | None = None,
    data_root: Path | None = None,
) -> Grid:
    """Return the grid of all combinations of the arguments; checks every configuration.

    Args:
        datasets: Names of datasets; by default the config file's, else ``digits``.
        inlier: Classes, each of which is the only normal class of a cell; ``"all"`` for every
            class, which is the default.
        outlier: Classes, each of which is the only anomalous class of a cell, or ``"all"``.
        seeds: Random seeds; by default the config file's, else 0.
        presets: Names of presets; by default the dataset's own.
        variants: Name -> settings ``TABLE.KEY=VALUE``: named sets of overrides to compare.
        sets: Settings ``TABLE.KEY=VALUE`` of all cells.
        config: A config file (TOML) of all cells.
        plugins: Plugin files.
        device: Name of a device; by default the config file's, else ``auto``.
        data_root: Folder with the data; by default this machine's data folder.

    Raises:
        ConfigError: A setting is wrong, in the config file, in *sets* or in a variant.
        UsageError: A class does not exist, arguments contradict each other, or two cells have
            the same name.
        PluginError: A dataset does not exist.
        DataError: The classes of a dataset cannot be read.
    """
    if inlier and outlier:
        raise UsageError(
            "'data.inlier' and 'data.outlier' exclude each other",
            "run two benchmarks with two output folders",
        )
    variants = variants or {}
    for name in variants:
        if not _VARIANT_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be the name of a variant",
                "use letters, digits, and any of . _ + - after the first",
            )
    _refuse_own_options([*sets, *(text for of in variants.values() for text in of)])
    shared = SharedSettings(config, tuple(plugins), device, data_root)
    named: Sequence[tuple[str | None, Sequence[str]]] = list(variants.items()) or [(None, ())]
    cells: list[Cell] = []
    for dataset in _unique(datasets) or [_load(shared, sets).config.data.dataset]:
        plain = _load(shared, sets, dataset=dataset)
        cells += _cells(
            shared,
            plain,
            choices=_class_choices(plain, inlier, outlier),
            seeds=_unique(seeds) or [plain.config.train.seed],
            presets=_unique(presets) or [None],
            variants=named,
            sets=sets,
        )
    _refuse_equal_names(cells)
    arguments = {
        "dataset": datasets,
        "inlier": inlier,
        "outlier": outlier,
        "seed": seeds,
        "preset": presets,
        "variant": [f"{name}={_set_options(of)}" for name, of in variants.items()],
        "set": sets,
        "plugin": [path.name for path in plugins],
        "config": [] if config is None else [config.name],
        "device": [] if device is None else [device],
    }
    settings = {
        "protocol": " and ".join(_unique(_PROTOCOLS[cell.option] for cell in cells)),
        "config": _shared_values(config),
        "sets": list(sets),
        "device": cells[0].device,
        "plugins": [path.name for path in plugins],
        "variants": {name: list(of) for name, of in variants.items()},
    }
    return Grid(tuple(cells), shared, settings, arguments)


def _cells(
    shared: SharedSettings,
    plain: LoadedConfig,
    *,
    choices: Sequence[tuple[str, str, tuple[str, ...]]],
    seeds: Sequence[int],
    presets: Sequence[str | None],
    variants: Sequence[tuple[str | None, Sequence[str]]],
    sets: Sequence[str],
) -> Iterator[Cell]:
    """Yield the cells of one dataset: classes, then seeds, then presets, then variants."""
    dataset = plain.config.data.dataset
    networks = [
        (preset, variant, (*sets, *of_variant))
        for preset in presets
        for variant, of_variant in variants
    ]
    devices = [
        _load(shared, all_sets, dataset=dataset, preset=preset).config.train.device
        for preset, _, all_sets in networks
    ]
    for label, option, classes in choices:
        for seed in seeds:
            for (preset, variant, all_sets), device in zip(networks, devices, strict=True):
                parts = (dataset, label, f"s{seed}", preset, variant)
                yield Cell(
                    name="-".join(part for part in parts if part is not None),
                    dataset=dataset,
                    option=option,
                    classes=classes,
                    seed=seed,
                    preset=preset,
                    variant=variant,
                    sets=all_sets,
                    device=device,
                )


def _load(
    shared: SharedSettings,
    sets: Sequence[str],
    dataset: str | None = None,
    preset: str | None = None,
) -> LoadedConfig:
    settings = {
        "data.dataset": dataset,
        "data.root": shared.data_root,
        "train.preset": preset,
        "train.device": shared.device,
        "plugins": list(shared.plugins) or None,
    }
    return load_config(file=shared.config, sets=sets, settings=settings)


def _class_choices(
    loaded: LoadedConfig, inlier: Sequence[int | str], outlier: Sequence[int | str]
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (label for names, option, class names) of each choice of classes."""
    config = loaded.config.data
    dataset = open_dataset(loaded.registry, config)
    names = dataset.classes()
    option = "outlier" if outlier else "inlier"
    refs = outlier or inlier
    if not refs:
        if config.inlier or config.outlier:
            option = "outlier" if config.outlier else "inlier"
            given = resolve_classes(config.outlier or config.inlier, names, option, config.dataset)
            return [(_label(option, given, names), option, tuple(names[k] for k in given))]
        if dataset.normal_classes() is not None:
            return [("default", "", ())]
        refs = [ALL]
    each = _each_class(refs, dataset, option)
    return [(_label(option, (k,), names), option, (names[k],)) for k in each]


def _each_class(refs: Sequence[int | str], dataset: Dataset, option: str) -> list[int]:
    names = dataset.classes()
    if any(str(ref).strip().lower() == ALL for ref in refs) and ALL not in names:
        return list(range(len(names)))
    return _unique(resolve_classes([ref], names, option, dataset.name)[0] for ref in refs)


def _label(option: str, classes: Sequence[int], names: Sequence[str]) -> str:
    slugs = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]
    # Class names with equal or empty slugs are distinguished by their index.
    labels = [
        slugs[k] if slugs[k] and slugs.count(slugs[k]) == 1 else f"{slugs[k]}-class{k}".strip("-")
        for k in classes
    ]
    return ("not-" if option == "outlier" else "") + "+".join(labels)


def _refuse_own_options(sets: Sequence[str]) -> None:
    problems: list[Problem] = []
    for text in sets:
        for path in set_source([text], problems).values:
            option = _OWN_OPTIONS.get(".".join(path))
            if option:
                raise UsageError(
                    f"{text} cannot be a setting of a benchmark's runs",
                    f"use the benchmark's own option for it: {option}",
                )
    if problems:
        raise ConfigError(problems)


def _refuse_equal_names(cells: Sequence[Cell]) -> None:
    seen = set()
    for cell in cells:
        if cell.name in seen:
            raise UsageError(
                f"two runs would be called {cell.name}", "give presets and variants different names"
            )
        seen.add(cell.name)


def _shared_values(config: Path | None) -> dict[str, Any]:
    """Return the values of the config file that apply to all cells."""
    if config is None:
        return {}
    flat = {".".join(path): value for path, value in flatten(read_toml(config))}
    # No cell's name includes the config file's preset.
    ignored = _OWN_OPTIONS.keys() - {"train.preset"}
    return {key: value for key, value in flat.items() if key not in ignored}


def _set_options(sets: Sequence[str]) -> str:
    return shlex.join(word for text in sets for word in ("--set", text))


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
