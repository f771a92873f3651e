"""Dotted keys of settings given as keyword arguments of a Python function."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from bigan_cli.config.schema import RunConfig
from bigan_cli.errors import ConfigError, did_you_mean


def settings_from_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted key -> value of *keywords*, which name settings in one of three ways.

    * by the name of the key alone where only one table has it: ``epochs=5``;
    * with its tables, joined by two underscores: ``model__options__feature_maps_gen=32``;
    * as nested tables: ``train={"epochs": 5, "lr": 1e-4}``.

    Values are those of a TOML file; paths, tuples and what NumPy has in their place
    are accepted as well.

    Raises:
        ConfigError: A name is unknown or ambiguous, or a setting is given twice.
    """
    settings: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, value in keywords.items():
        try:
            found = list(_flatten(_dotted(name), value))
        except ConfigError as error:
            problems += error.problems
            continue
        for key, plain in found:
            if key in ("data.inlier", "data.outlier") and not isinstance(plain, list):
                plain = [plain]  # noqa: PLW2901 - one class needs no list
            if key in settings:
                problems.append((f"'{key}' is given twice", ""))
            settings[key] = plain
    if problems:
        raise ConfigError(problems)
    return settings


def _dotted(name: str) -> str:
    tables, leaves = _names()
    if "__" in name:
        return name.replace("__", ".")
    if name in tables:
        return name
    owners = leaves.get(name, ())
    if len(owners) == 1:
        return owners[0]
    if owners:
        both = " or ".join(owner.replace(".", "__") for owner in owners)
        raise ConfigError([(f"'{name}' is ambiguous", f"use {both}")])
    near = did_you_mean(name, [*leaves, *tables])
    raise ConfigError([(f"unknown setting '{name}'", near or "see docs/configuration.md")])


@cache
def _names() -> tuple[frozenset[str], dict[str, tuple[str, ...]]]:
    """Return the names of the tables, and the dotted keys of each last name."""
    tables: set[str] = set()
    leaves: dict[str, tuple[str, ...]] = {}
    for table, field in RunConfig.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            key = field.alias or table
            leaves[key] = (*leaves.get(key, ()), key)
            continue
        tables.add(table)
        for key in kind.model_fields:
            leaves[key] = (*leaves.get(key, ()), f"{table}.{key}")
    return frozenset(tables), leaves


def _flatten(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flatten(f"{key}.{name}", inner)
    else:
        yield key, _plain(value)


def _plain(value: Any) -> Any:
    """Return *value* as a TOML file would hold it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # an array or scalar of NumPy
        return value.tolist()
    return value
