"""Writes ``cli/_setting_options.py`` from the schema: ``make options``.

The options are written to a file of plain tuples because ``bigan train --help`` and shell
completion would otherwise import pydantic, which takes longer than everything else they do.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bigan_cli.cli import _setting_options
from bigan_cli.config.constraints import alternatives
from bigan_cli.config.flag import Flag
from bigan_cli.config.reference import flag_of
from bigan_cli.config.resolve import DEFAULT_ARCHITECTURE, DEFAULT_DATASET
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.sources import ENVIRONMENT
from bigan_cli.plugins import load_registry

FILE = Path(_setting_options.__file__)
_HEADER = '''\
"""Options of settings. Written by ``make options`` from config/schema.py; not edited."""

# key, names, panel, metavar, type, repeatable, choices, default, environment variable, help
ROWS: tuple[tuple[str, str, str, str, str, bool, tuple[str, ...], str, str, str], ...] = (
'''
_SENTENCE = re.compile(r"(.+?\.)(?: [A-Zaob]|$)", re.DOTALL)


def source() -> str:
    """Return the text of the file."""
    rows = []
    for keys, field, flag in _flagged():
        *row, text = map(repr, _row(keys, field, flag))
        rows.append(f"    ({', '.join(row)},\n     {text}),\n")
    return f"{_HEADER}{''.join(rows)})\n"


def _flagged() -> Iterator[tuple[tuple[str, ...], FieldInfo, Flag]]:
    """Yield (keys, field, flag) of every setting that has a flag."""
    architecture = load_registry().architecture(DEFAULT_ARCHITECTURE).Options
    for name, field in RunConfig.model_fields.items():
        flag = flag_of(field, (name,))
        if flag:
            yield (name,), field, flag
        table: Any = field.annotation
        if not (isinstance(table, type) and issubclass(table, BaseModel)):
            continue
        for key, inner in table.model_fields.items():
            keys = (name, key)
            flag = flag_of(inner, keys)
            if flag:
                yield keys, inner, flag
            if keys == ("model", "options"):
                for option, declared in architecture.model_fields.items():
                    flag = flag_of(declared, (*keys, option))
                    if flag:
                        yield (*keys, option), declared, flag


def _row(keys: tuple[str, ...], field: FieldInfo, flag: Flag) -> tuple[object, ...]:
    kind, repeatable, choices = _value_of(field.annotation, flag)
    variables = {path: name for name, path in ENVIRONMENT.items()}
    return (
        ".".join(keys),
        flag.names,
        flag.panel,
        flag.metavar,
        kind,
        repeatable,
        choices,
        _default(keys, field, flag),
        variables.get(keys, ""),
        _help(field, flag, choices, repeatable=repeatable),
    )


def _value_of(annotation: Any, flag: Flag) -> tuple[str, bool, tuple[str, ...]]:
    """Return the type of an option's value, whether it is repeatable, and the words it takes."""
    kinds = [annotation]
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    only = kinds[0] if len(kinds) == 1 else str
    repeatable = get_origin(only) is tuple
    if "/" in flag.names:
        return "bool", False, ()
    if flag.metavar in ("FILE", "DIR"):
        return "Path", repeatable, ()
    if get_origin(only) is Literal:
        values = get_args(only)
        words = tuple(value for value in values if isinstance(value, str))
        return type(values[0]).__name__, False, words
    return (only.__name__ if only in (int, float) else "str"), repeatable, ()


def _default(keys: tuple[str, ...], field: FieldInfo, flag: Flag) -> str:
    value = field.get_default()
    if value is None:
        said = re.search(r"By default (.+)\.$", field.description or "")
        return said[1] if said else ""
    if value == ():
        return ""
    if isinstance(value, bool):
        return flag.names.split("/")[not value].removeprefix("--")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    preset = load_registry().dataset(DEFAULT_DATASET).preset
    for key in keys:
        preset = preset.get(key, {})
    return f"{text}; {DEFAULT_DATASET}: {preset}" if preset else text


def _help(field: FieldInfo, flag: Flag, choices: tuple[str, ...], *, repeatable: bool) -> str:
    description = field.description or ""
    sentence = _SENTENCE.match(description)
    text = sentence[1] if sentence else description
    if not all(word in text for word in choices):
        text = f"{text.removesuffix('.')}: {alternatives(choices)}."
    return " ".join([text, *(["Repeatable."] if repeatable else []), *filter(None, [flag.note])])


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
