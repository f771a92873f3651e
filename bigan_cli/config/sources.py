"""The sources of a configuration, and how a higher one overrides a lower one.

A source is flat: a path of keys leads to each value. The highest source that has a path decides
its value.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from pathlib import Path
from typing import Any, Literal

from bigan_cli.config.constraints import Json, TableSchema
from bigan_cli.config.presets import LEAVE_ONE_OUT, values_of
from bigan_cli.config.schema import RunConfig, TrainConfig
from bigan_cli.config.toml import parse_value, read_toml
from bigan_cli.contracts import Dataset

Keys = tuple[str, ...]
Problem = tuple[str, str]

ENVIRONMENT: Mapping[str, Keys] = {
    "BIGAN_DEVICE": ("train", "device"),
    "BIGAN_DATA_DIR": ("data", "root"),
}
"""Environment variable -> the setting it gives."""


@dataclass(frozen=True)
class ConfigSource:
    """One source of values.

    Attributes:
        kind: Its kind; messages about the caller's settings name no source.
        label: Its name in messages.
        values: Path of keys -> value.
        base: The folder that relative paths start from.
        labels: Labels of single paths, where they have their own.
    """

    kind: Literal["preset", "file", "environment", "set", "settings"]
    label: str
    values: Mapping[Keys, Any]
    base: Path
    labels: Mapping[Keys, str] = field(default_factory=dict)

    def label_of(self, path: Keys) -> str:
        """Return the source's name in messages about *path*."""
        return self.labels.get(path, self.label)


@dataclass(frozen=True)
class Value:
    """A value and its source; higher sources have a higher *rank*."""

    value: Any
    source: ConfigSource
    rank: int


class MergedConfig:
    """The values of all sources, each from the highest source that has it."""

    def __init__(self, sources: Iterable[ConfigSource]) -> None:
        self.entries: dict[Keys, Value] = {}
        for rank, source in enumerate(sources):
            for path, value in source.values.items():
                self._put(path, Value(value, source, rank))

    def _put(self, path: Keys, entry: Value) -> None:
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
        """Replace the value at *path*, if there is one, and keep its source."""
        if path in self.entries:
            self.entries[path] = replace(self.entries[path], value=value)

    def drop(self, path: Keys) -> None:
        """Drop the value at *path*."""
        del self.entries[path]

    def rename(self, path: Keys, other: Keys) -> None:
        """Move the value at *path* to *other*."""
        self.entries[other] = self.entries.pop(path)

    def under(self, table: Keys) -> dict[Keys, Value]:
        """Return the entries of a table."""
        return {
            path: entry
            for path, entry in self.entries.items()
            if path[: len(table)] == table and len(path) > len(table)
        }

    def nearest(self, path: Keys) -> tuple[Keys, Value] | None:
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

        ``("run.toml: ", "train.lr")``, or ``("", "'train.lr'")`` for the caller's settings: a
        command line shows a quoted setting as its flag.
        """
        dotted = ".".join(path)
        found = self.nearest(path)
        if found is None:
            return "", dotted
        there, entry = found
        if entry.source.kind == "settings":
            return "", f"'{'.'.join(there)}'"
        return f"{entry.source.label_of(there)}: ", dotted

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


def file_source(file: Path) -> ConfigSource:
    """Return the values of a TOML file.

    Raises:
        ConfigError: It cannot be read.
    """
    base = Path(os.path.abspath(file)).parent  # noqa: PTH100  links are kept as they are
    return ConfigSource("file", str(file), dict(flatten(read_toml(file))), base)


def preset_source(owner: str, tables: Mapping[str, Mapping[str, Any]]) -> ConfigSource:
    """Return the preset of the dataset or architecture *owner*."""
    return ConfigSource("preset", f"preset of {owner}", dict(flatten(tables)), Path.cwd())


def effort_sources(preset: str, below: Sequence[ConfigSource]) -> list[ConfigSource]:
    """Return what the training effort *preset* changes of the presets *below* it."""
    usual = highest(below, ("train", "epochs"), TrainConfig().epochs)
    added = values_of(preset, usual)
    if not added:
        return []
    values = dict(flatten({"train": added}))
    return [ConfigSource("preset", f"preset {preset}", values, Path.cwd())]


def leave_one_out_source() -> ConfigSource:
    """Return the preset of runs whose normal classes are all but one."""
    return ConfigSource(
        "preset", "preset of leave-one-out", dict(flatten(LEAVE_ONE_OUT)), Path.cwd()
    )


def environment_source(dataset: type[Dataset] | None, environ: Mapping[str, str]) -> ConfigSource:
    """Return the settings that depend on the machine, and nothing else.

    ``BIGAN_DATA_DIR`` is the folder of downloaded datasets; a dataset of the user's own images
    always has its folder named.
    """
    machine = dict(ENVIRONMENT)
    if dataset is None or dataset.needs_root:
        del machine["BIGAN_DATA_DIR"]
    values = {path: environ[name] for name, path in machine.items() if environ.get(name)}
    labels = {path: name for name, path in machine.items()}
    return ConfigSource("environment", "environment", values, Path.cwd(), labels)


def set_source(sets: Sequence[str], problems: list[Problem]) -> ConfigSource:
    """Return the values of ``--set TABLE.KEY=VALUE``; of two for one key the later one."""
    schema = TableSchema.of(RunConfig)
    values: dict[Keys, Any] = {}
    for text in sets:
        dotted, equals, value = text.partition("=")
        path = tuple(part.strip() for part in dotted.split("."))
        if not equals or not all(path):
            problems.append((f"--set {text}: not TABLE.KEY=VALUE", "as in --set train.epochs=5"))
            continue
        parsed = as_list(parse_value(value.strip()), schema.at(path))
        values |= (
            dict(flatten(parsed, path)) if isinstance(parsed, dict) and parsed else {path: parsed}
        )
    return ConfigSource("set", "--set", values, Path.cwd())


def as_list(value: Any, part: Json | None) -> Any:
    """Return the items of a text such as ``"a,b"`` if *part*, the key's schema, takes a list."""
    if not isinstance(value, str) or part is None:
        return value
    is_list = part.get("type") == "array"
    can_be_list = any(form.get("type") == "array" for form in part.get("anyOf", ()))
    if not is_list and not (can_be_list and "," in value):
        return value
    return [parse_value(item.strip()) for item in value.split(",") if item.strip()]


def settings_source(settings: Mapping[str, Any]) -> ConfigSource:
    """Return the caller's settings, given by their dotted keys; None means not given."""
    values = {
        tuple(key.split(".")): _plain(value) for key, value in settings.items() if value is not None
    }
    return ConfigSource("settings", "argument", values, Path.cwd())


def _plain(value: Any) -> Any:
    """Return *value* as TOML has it: lists for tuples and text for paths."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, Path) else value


def highest(sources: Sequence[ConfigSource], path: Keys, default: Any = None) -> Any:
    """Return the value that the highest of *sources* gives to *path*."""
    return next(
        (source.values[path] for source in reversed(sources) if path in source.values), default
    )


def without(source: ConfigSource, paths: Iterable[Keys]) -> ConfigSource:
    """Return *source* without some of its paths."""
    gone = set(paths)
    return replace(source, values={p: v for p, v in source.values.items() if p not in gone})


def invalid_reason(value: Any) -> str:
    """Return why *value* cannot be in any configuration, or an empty string."""
    if isinstance(value, list | tuple):
        return next((invalid for invalid in map(invalid_reason, value) if invalid), "")
    if isinstance(value, Mapping):
        return next((invalid for invalid in map(invalid_reason, value.values()) if invalid), "")
    if isinstance(value, date | time):
        return f"cannot be a date or time, and it is {value}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, got {value}"
    if isinstance(value, str):
        return _invalid_text(value)
    return ""


def _invalid_text(text: str) -> str:
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
