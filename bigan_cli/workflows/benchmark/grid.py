"""Which trainings a benchmark consists of, and what they have in common."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.config.sources import Problem, flatten, set_source
from bigan_cli.config.toml import read_toml
from bigan_cli.contracts import Dataset
from bigan_cli.data.classes import resolve_classes
from bigan_cli.data.prepare import open_dataset
from bigan_cli.errors import ConfigError, UsageError

ALL = "all"

# What tells one cell from another, or one machine from another, has an option of its own.
_DECIDED = {
    "train.preset": "--preset",
    "plugins": "--plugin",
    "data.dataset": "--dataset",
    "data.inlier": "--inlier",
    "data.outlier": "--outlier",
    "data.root": "--data-root",
    "train.seed": "--seed",
    "train.device": "--device",
    "output.save_dir": "--output",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; empty or None where nothing was."""

    config: Path | None
    datasets: Sequence[str]
    inlier: Sequence[str]
    outlier: Sequence[str]
    seeds: Sequence[int]
    presets: Sequence[str]
    variants: Sequence[str]
    sets: Sequence[str]
    plugins: Sequence[Path]
    device: str | None
    data_root: Path | None
    output: Path
    jobs: int
    baselines: bool
    dry_run: bool
    as_json: bool


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation.

    Attributes:
        name: Of its run directory; no other cell of the benchmark has it.
        dataset: Name of the data set.
        option: ``inlier``, ``outlier``, or empty where the data set or the run file decides.
        classes: The classes that *option* names.
        seed: Of the run.
        preset: Or None.
        variant: Or None.
        sets: All that ``--set`` gives it.
        device: What it is trained and evaluated on.
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
class Grid:
    """All cells of a benchmark, and the settings that they share.

    Attributes:
        cells: In the order in which they are run.
        settings: What may not differ within one folder, in terms that JSON has.
    """

    cells: tuple[Cell, ...]
    settings: Mapping[str, Any]


def make_grid(request: Request) -> Grid:
    """Return the cells that *request* asks for; every configuration is checked on the way.

    Raises:
        ConfigError: A key or a value is wrong, in the run file, a ``--set`` or a variant.
        UsageError: A class does not exist, options contradict each other, or two cells would
            have one name.
        PluginError: A data set does not exist.
        DataError: The classes of a data set cannot be found out.
    """
    if request.inlier and request.outlier:
        raise UsageError(
            "--inlier and --outlier exclude each other", "make two benchmarks, with two --output"
        )
    variants = _read_variants(request.variants)
    _refuse_decided([*request.sets, *(text for sets in variants.values() for text in sets)])
    cells: list[Cell] = []
    for dataset in _unique(request.datasets) or [_load(request).config.data.dataset]:
        cells += _cells_of(request, dataset, variants)
    names = [cell.name for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two runs would be called {name}", "give presets and variants different names"
            )
    return Grid(tuple(cells), _settings(request, variants, cells))


def _cells_of(
    request: Request, dataset: str, variants: Mapping[str, tuple[str, ...]]
) -> Iterator[Cell]:
    """Yield the cells of one data set: classes, then seeds, then presets and variants."""
    plain = _load(request, dataset=dataset)
    choices = _choices(request, plain)
    seeds = _unique(request.seeds) or [plain.config.train.seed]
    named: list[tuple[str | None, tuple[str, ...]]] = list(variants.items()) or [(None, ())]
    arms = [
        (preset, variant, (*request.sets, *sets))
        for preset in (_unique(request.presets) or [None])
        for variant, sets in named
    ]
    loaded = {arm: _load(request, arm[2], dataset=dataset, preset=arm[0]) for arm in arms}
    for label, option, classes in choices:
        for seed in seeds:
            for arm in arms:
                preset, variant, sets = arm
                config = loaded[arm].config
                words = [config.data.dataset, label, f"s{seed}", preset, variant]
                name = "-".join(word for word in words if word is not None)
                yield Cell(
                    name,
                    config.data.dataset,
                    option,
                    classes,
                    seed,
                    preset,
                    variant,
                    sets,
                    config.train.device,
                )


def _load(
    request: Request,
    sets: Sequence[str] | None = None,
    dataset: str | None = None,
    preset: str | None = None,
) -> LoadedConfig:
    flags = {
        "data.dataset": dataset,
        "data.root": request.data_root,
        "train.preset": preset,
        "train.device": request.device,
        "plugins": list(request.plugins) or None,
    }
    return load_config(
        file=request.config, sets=request.sets if sets is None else sets, settings=flags
    )


def _choices(request: Request, loaded: LoadedConfig) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (label for names, option, classes) of each choice of normal classes."""
    config = loaded.config.data
    dataset = open_dataset(loaded.registry, config)
    names = dataset.classes()
    option = "outlier" if request.outlier else "inlier"
    refs: Sequence[int | str] = request.outlier or request.inlier
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
    # Names that look the same in a file name, or have no letters for one, are told by number.
    told = [
        slugs[k] if slugs[k] and slugs.count(slugs[k]) == 1 else f"{slugs[k]}-class{k}".strip("-")
        for k in classes
    ]
    return ("not-" if option == "outlier" else "") + "+".join(told)


def _read_variants(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return name -> its ``--set`` texts."""
    variants: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        name = name.strip()
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise UsageError(f"--variant {name}: {error}", _VARIANT_HINT) from error
        if not equals or not _NAME.fullmatch(name):
            raise UsageError(f"--variant {text}: not NAME=OPTIONS", _VARIANT_HINT)
        if len(words) % 2 or any(word != "--set" for word in words[::2]):
            raise UsageError(f"--variant {name} may hold --set TABLE.KEY=VALUE only", _VARIANT_HINT)
        if name in variants:
            raise UsageError(f"there are two variants called {name}")
        variants[name] = tuple(words[1::2])
    return variants


_VARIANT_HINT = "as in --variant plain='--set train.reconstruction_weight=0'"


def _refuse_decided(sets: Sequence[str]) -> None:
    problems: list[Problem] = []
    for text in sets:
        for path in set_source([text], problems).values:
            decided = _DECIDED.get(".".join(path))
            if decided:
                raise UsageError(f"--set {text} has no place in a benchmark", f"use {decided}")
    if problems:
        raise ConfigError(problems)


def _settings(
    request: Request, variants: Mapping[str, tuple[str, ...]], cells: Sequence[Cell]
) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.config is not None:
        flat = {".".join(path): value for path, value in flatten(read_toml(request.config))}
        decided = _DECIDED.keys() - {"train.preset"}  # of a run file, no cell's name tells it
        config = {key: value for key, value in flat.items() if key not in decided}
    options = {"inlier": "one-class", "outlier": "leave-one-out", "": "of the data set"}
    return {
        "protocol": " and ".join(_unique(options[cell.option] for cell in cells)),
        "config": config,
        "sets": list(request.sets),
        "device": cells[0].device,
        "plugins": [path.name for path in request.plugins],
        "variants": {name: list(sets) for name, sets in variants.items()},
    }


def check_settings(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to put results of different settings into one folder.

    The grid may grow: data sets, classes, seeds, presets and variants can be added.

    Raises:
        UsageError: Names the first setting that differs.
    """
    shared = before.get("variants", {}).keys() & now["variants"].keys()
    pairs = [(key, before.get(key), now[key]) for key in now if key != "variants"]
    pairs += [
        (f"variant {name}", before["variants"][name], now["variants"][name])
        for name in sorted(shared)
    ]
    for key, old, new in pairs:
        if old != new:
            raise UsageError(
                f"{folder} holds results of other settings: {key} was {_told(old)}, "
                f"and {_told(new)} is asked for",
                "pass another --output, or ask for the same settings",
            )


def _told(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "nothing"
    return str(value)


def _unique(values: Any) -> list[Any]:
    return list(dict.fromkeys(values))
