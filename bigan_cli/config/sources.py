"""The places a configuration is put together from, and how a higher one covers a lower.

A layer is flat: a path of keys leads to each value. Laid over one another, the highest layer
that names a path decides it, and remembers where it came from.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from pathlib import Path
from typing import Any, Literal

from bigan_cli.config.flags import flag_of, read_flags
from bigan_cli.config.presets import LEAVE_ONE_OUT, values_of
from bigan_cli.config.toml import parse_value, read_toml
from bigan_cli.contracts import Dataset

Keys = tuple[str, ...]
Problem = tuple[str, str]


@dataclass(frozen=True)
class Layer:
    """One place values come from.

    Attributes:
        kind: What sort of place it is; of flags, messages name the flag instead of the key.
        label: What a message calls it.
        values: Path of keys -> value.
        base: The folder that relative paths start from.
        labels: Labels of single paths, where they have their own.
    """

    kind: Literal["preset", "file", "environment", "set", "flags"]
    label: str
    values: Mapping[Keys, Any]
    base: Path
    labels: Mapping[Keys, str] = field(default_factory=dict)

    def label_of(self, path: Keys) -> str:
        """Return what a message calls the place of *path*."""
        return self.labels.get(path, self.label)


@dataclass(frozen=True)
class Entry:
    """A value that was given, and the layer that gave it; *rank* grows upwards."""

    value: Any
    layer: Layer
    rank: int


class Given:
    """Everything that was given, the highest layer first in line."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.entries: dict[Keys, Entry] = {}
        for rank, layer in enumerate(layers):
            for path, value in layer.values.items():
                self._put(path, Entry(value, layer, rank))

    def _put(self, path: Keys, entry: Entry) -> None:
        # A value in place of a table hides the table, and the other way round.
        hidden = [
            other
            for other, below in self.entries.items()
            if (other[: len(path)] == path and entry.value != {})
            or (path[: len(other)] == other and below.value != {})
        ]
        for other in hidden:
            del self.entries[other]
        if entry.value != {} or not any(o[: len(path)] == path for o in self.entries):
            self.entries[path] = entry

    def value(self, path: Keys, default: Any = None) -> Any:
        """Return the value at *path*, or *default*."""
        entry = self.entries.get(path)
        return default if entry is None else entry.value

    def replace(self, path: Keys, value: Any) -> None:
        """Give *path*, if it was given, another value from the same place."""
        if path in self.entries:
            self.entries[path] = replace(self.entries[path], value=value)

    def drop(self, path: Keys) -> None:
        """Forget what was given at *path*."""
        del self.entries[path]

    def rename(self, path: Keys, other: Keys) -> None:
        """Let what was given at *path* stand at *other*."""
        self.entries[other] = self.entries.pop(path)

    def under(self, table: Keys) -> dict[Keys, Entry]:
        """Return the entries of a table."""
        return {
            path: entry
            for path, entry in self.entries.items()
            if path[: len(table)] == table and len(path) > len(table)
        }

    def nearest(self, path: Keys) -> tuple[Keys, Entry] | None:
        """Return the entry at *path*, else one in it, else the one it is part of."""
        if path in self.entries:
            return path, self.entries[path]
        for other, entry in self.under(path).items():
            return other, entry
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self.entries:
                return path[:length], self.entries[path[:length]]
        return None

    def place(self, path: Keys) -> tuple[str, str]:
        """Return (prefix, subject) of a message about *path*.

        ``("run.toml: ", "train.lr")``, or ``("", "--lr")`` for a flag.
        """
        dotted = ".".join(path)
        found = self.nearest(path)
        if found is None:
            return "", dotted
        there, entry = found
        if entry.layer.kind == "flags":
            return "", flag_of(".".join(there), entry.value)
        return f"{entry.layer.label_of(there)}: ", dotted

    def tree(self) -> dict[str, Any]:
        """Return nested tables."""
        root: dict[str, Any] = {}
        for path, entry in self.entries.items():
            table = root
            for key in path[:-1]:
                table = table.setdefault(key, {})
            table[path[-1]] = dict(entry.value) if entry.value == {} else entry.value
        return root


def flatten(tree: Mapping[str, Any], prefix: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield (path, value) of each value in nested tables; an empty table is a value."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, (*prefix, str(key)))
        else:
            yield (*prefix, str(key)), value


def layer_of_file(file: Path) -> Layer:
    """Return the values of a TOML file.

    Raises:
        ConfigError: It cannot be read.
    """
    base = Path(os.path.abspath(file)).parent  # noqa: PTH100  links are kept as they are
    return Layer("file", str(file), dict(flatten(read_toml(file))), base)


def layers_of_presets(dataset: type[Dataset] | None, preset: str) -> list[Layer]:
    """Return what suits the data set better than the general defaults, and what *preset* adds."""
    layers = []
    if dataset is not None:
        values = dict(flatten(dataset.preset))
        layers.append(Layer("preset", f"preset of {dataset.name}", values, Path.cwd()))
    added = values_of(preset, {} if dataset is None else dataset.preset)
    if added:
        values = dict(flatten({"train": added}))
        layers.append(Layer("preset", f"preset {preset}", values, Path.cwd()))
    return layers


def layer_of_leave_one_out() -> Layer:
    """Return what suits runs whose normals are all classes but one."""
    return Layer("preset", "preset of leave-one-out", dict(flatten(LEAVE_ONE_OUT)), Path.cwd())


def layer_of_environment(dataset: type[Dataset] | None, environ: Mapping[str, str]) -> Layer:
    """Return what differs from machine to machine, and nothing else.

    ``BIGAN_DATA_DIR`` is the place of data sets that come from elsewhere; a data set of the
    user's own images always has its folder named.
    """
    machine: dict[str, Keys] = {"BIGAN_DEVICE": ("train", "device")}
    if dataset is not None and not dataset.needs_root:
        machine["BIGAN_DATA_DIR"] = ("data", "root")
    values = {path: environ[name] for name, path in machine.items() if environ.get(name)}
    labels = {path: name for name, path in machine.items()}
    return Layer("environment", "environment", values, Path.cwd(), labels)


def layer_of_sets(sets: Sequence[str], problems: list[Problem]) -> Layer:
    """Return the values of ``--set TABLE.KEY=VALUE``; of two for one key the later one."""
    values: dict[Keys, Any] = {}
    for text in sets:
        dotted, equals, value = text.partition("=")
        path = tuple(part.strip() for part in dotted.split("."))
        if not equals or not all(path):
            problems.append((f"--set {text}: not TABLE.KEY=VALUE", "as in --set train.epochs=5"))
            continue
        parsed = parse_value(value.strip())
        values |= (
            dict(flatten(parsed, path)) if isinstance(parsed, dict) and parsed else {path: parsed}
        )
    return Layer("set", "--set", values, Path.cwd())


def layer_of_flags(flags: Mapping[str, Any]) -> Layer:
    """Return the values of flags, given by their dotted keys."""
    values = {tuple(key.split(".")): value for key, value in read_flags(flags).items()}
    labels = {path: flag_of(".".join(path), value) for path, value in values.items()}
    return Layer("flags", "flags", values, Path.cwd(), labels)


def highest(layers: Sequence[Layer], path: Keys, default: Any = None) -> Any:
    """Return the value that the highest of *layers* gives to *path*."""
    return next((layer.values[path] for layer in reversed(layers) if path in layer.values), default)


def without(layer: Layer, paths: Iterable[Keys]) -> Layer:
    """Return *layer* without some of its paths."""
    gone = set(paths)
    return replace(layer, values={p: v for p, v in layer.values.items() if p not in gone})


def is_odd(value: Any) -> str:
    """Return what keeps *value* out of any configuration, in words, or an empty string."""
    if isinstance(value, list | tuple):
        return next((odd for odd in map(is_odd, value) if odd), "")
    if isinstance(value, Mapping):
        return next((odd for odd in map(is_odd, value.values()) if odd), "")
    if isinstance(value, date | time):
        return f"cannot be a date or time, and it is {value}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, got {value}"
    if isinstance(value, str):
        return _odd_text(value)
    return ""


def _odd_text(text: str) -> str:
    if "\0" in text:
        return "holds a null character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds characters that are not valid Unicode"
    return ""


def absolute(text: str, base: Path) -> str:
    """Return the path *text* as seen from the folder *base*; ``~`` is the user's home."""
    return os.path.abspath(base / os.path.expanduser(text))  # noqa: PTH100, PTH111  see above
