"""From what the options name to the rows of two splits."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import huggingface_hub
import numpy as np

from bigan_cli.contracts import DataLocation
from bigan_cli.errors import DataError, UsageError

if TYPE_CHECKING:
    from bigan_hf import HfOptions

_TEST_SPLITS = ("test", "validation", "valid")


@dataclass(frozen=True)
class Splits:
    """The rows to train on and to test with, none of them decoded.

    Attributes:
        source: Where they come from, for messages.
        train: With known features, as all rows here.
        test: None where there is no such split.
    """

    source: str
    train: datasets.Dataset
    test: datasets.Dataset | None


def load_splits(options: HfOptions, location: DataLocation) -> Splits:
    """Load what *options* name; of the hub only where *location* allows it or it is cached.

    Raises:
        UsageError: There is no such file or folder.
        DataError: It cannot be loaded, or has no such split.
    """
    local = _local(options.path, location.root)
    source = options.path if local is None else str(local)
    if local is not None and local.is_dir() and not any(local.iterdir()):
        raise DataError(f"{local} is empty", _where(options))
    if local is not None and not local.exists():
        raise UsageError(f"no such file or folder: {local}", _where(options))
    loaded = _load(options, local, source, download=location.download)
    train = _split(loaded, options.train_split, options, source)
    there = [name for name in _TEST_SPLITS if name in loaded and name != options.train_split]
    wanted = options.test_split or (there[0] if there else "")
    return Splits(source, train, _split(loaded, wanted, options, source) if wanted else None)


def _where(options: HfOptions) -> str:
    if options.path:
        return "it is looked for in --data-root"
    return "pass --data-root FOLDER, or --set data.options.path=user/name for one on the hub"


def _local(path: str, root: Path) -> Path | None:
    """Return the file or folder that *path* names, or None where it is a name on the hub."""
    place = root / Path(path).expanduser()
    # A name on the hub has one slash at most, and no suffix of a data file.
    on_hub = path and not place.exists() and not Path(path).is_absolute()
    return None if on_hub and path.count("/") < 2 else place


def _load(options: HfOptions, local: Path | None, source: str, *, download: bool) -> Any:
    arguments: dict[str, Any] = {"name": options.config or None, "streaming": options.streaming}
    if local is None:
        arguments |= {"path": options.path, "revision": options.revision or None}
    elif local.is_file():
        arguments |= {"path": str(local.parent), "data_files": local.name}
    else:
        arguments |= {"path": str(local)}
    try:
        with _quiet(), _offline(local is not None or not download):
            return datasets.load_dataset(**arguments)
    except Exception as error:  # third-party files and the network may raise anything
        hint = "" if local is not None else _hub_hint(options.path, download=download)
        raise DataError(f"cannot load {source}: {_in_words(error)}", hint) from error


def _hub_hint(name: str, *, download: bool) -> str:
    if not download:
        return "it may not be downloaded (--no-download), and is not in the cache of the hub"
    return f"is there a dataset {name} on the hub, and a network? a folder goes to --data-root"


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Work without the hub; the packages read their variables only when imported."""
    if not offline:
        yield
        return
    places: list[Any] = [datasets.config, huggingface_hub.constants]
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            place.HF_HUB_OFFLINE = True
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what is logged at every try to reach the hub, and bars that nobody watches."""
    loggers: list[Any] = [datasets.logging, huggingface_hub.logging]
    before = [logger.get_verbosity() for logger in loggers]
    bars = datasets.is_progress_bar_enabled() and not sys.stderr.isatty()
    try:
        for logger in loggers:
            logger.set_verbosity_error()
        if bars:
            datasets.disable_progress_bars()
        yield
    finally:
        if bars:
            datasets.enable_progress_bars()
        for logger, value in zip(loggers, before, strict=True):
            logger.set_verbosity(value)


def _in_words(error: BaseException) -> str:
    # A failure while the rows are made is wrapped in one that says nothing.
    inner = error.__cause__ if isinstance(error, datasets.exceptions.DatasetsError) else None
    text = " ".join(str(inner or error).split())
    return text[:200] or type(error).__name__


def _split(
    loaded: Mapping[str, Any], name: str, options: HfOptions, source: str
) -> datasets.Dataset:
    """Return the rows of one split, no more than the options allow."""
    if name not in loaded:
        raise DataError(
            f"{source} has no split {name}: there is {', '.join(map(str, loaded))}",
            "choose with --set data.options.train_split=NAME or data.options.test_split=NAME",
        )
    rows, limit = loaded[name], options.limit
    if isinstance(rows, datasets.Dataset):
        if not limit or limit >= len(rows):
            return rows
        return rows.select(np.linspace(0, len(rows) - 1, limit).round().astype(np.int64))
    return _streamed(rows, limit, source)


def _streamed(rows: datasets.IterableDataset, limit: int, source: str) -> datasets.Dataset:
    """Return the first *limit* rows, held in memory as they are stored: encoded."""
    features = rows.features
    if features is None:
        raise DataError(
            f"the columns of {source} are not known before all of it is read",
            "leave data.options.streaming out",
        )
    for column, feature in features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    try:
        with _quiet():
            read = list(rows.take(limit))
    except Exception as error:  # as in _load
        raise DataError(f"cannot stream {source}: {_in_words(error)}") from error
    return datasets.Dataset.from_list(read, features=features)
