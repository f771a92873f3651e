"""Turns pydantic's errors into messages: source, key, what is allowed, what was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bigan_cli.config.constraints import Json, TableSchema, shown
from bigan_cli.config.sources import Keys, MergedConfig, Problem
from bigan_cli.errors import did_you_mean

# What JSON Schema may call a value of TOML.
_TYPES: Mapping[type, tuple[str, ...]] = {
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    str: ("string",),
}
# Errors of validators of the class itself, which the schema does not describe.
_OWN_WORDS = ("value_error", "assertion_error")


def problems_of(
    error: ValidationError,
    merged: MergedConfig,
    schema: TableSchema,
    table: Keys = (),
    owner: str = "",
) -> Iterator[Problem]:
    """Yield one (message, hint) for each key that is wrong.

    Args:
        error: From validating a table.
        merged: Where its values came from.
        schema: Of the table.
        table: The keys that lead to it; empty for a whole configuration.
        owner: Whose options they are, as ``"dataset frogs"``; empty for the schema's own tables.
    """
    seen: set[tuple[Keys, bool]] = set()
    for detail in error.errors(include_url=False):
        inner, part, rest = _walk(detail["loc"], schema)
        kind = detail["type"]
        if kind == "extra_forbidden":
            known = list(part.get("properties", {}))
            yield _unknown((*table, *inner, *rest), known, merged, schema, owner)
        elif kind == "missing" and not rest:
            yield _missing((*table, *inner), part, schema, owner)
        # The alternatives of a union fail one by one, and so do the items of a list.
        elif ((*table, *inner), kind in _OWN_WORDS) not in seen:
            seen.add(((*table, *inner), kind in _OWN_WORDS))
            yield _wrong((*table, *inner), part, merged, schema, detail)


def _walk(loc: Sequence[int | str], schema: TableSchema) -> tuple[Keys, Json, Keys]:
    """Return the keys that lead to what is wrong, the schema of the last of them, and the rest.

    It stops at the first key whose value is a list or a union, which is described as a whole.
    """
    part = schema.root
    for position, step in enumerate(loc):
        inner = schema.child(part, step) if isinstance(step, str) else None
        if inner is None:
            return tuple(map(str, loc[:position])), part, tuple(map(str, loc[position:]))
        part = inner
    return tuple(map(str, loc)), part, ()


def _unknown(
    keys: Keys, known: Sequence[str], merged: MergedConfig, schema: TableSchema, owner: str
) -> Problem:
    prefix, subject = merged.place(keys)
    if subject.startswith("'"):
        prefix = f"{subject}: "
    *tables, key = keys
    inside = f" in [{'.'.join(tables)}]" if tables else ""
    if owner and subject.startswith("'"):
        hint = did_you_mean(key, known) or f"it takes {', '.join(known) or 'no options'}"
        return f"{prefix}the {owner} has no option '{key}'", hint
    what = f"table [{key}]" if not tables and merged.under(keys) else f"key '{key}'"
    message = f"{prefix}unknown {what}{inside}"
    hint = did_you_mean(key, known) or ("" if owner else _elsewhere(key, schema))
    if hint:
        return message, hint
    whose = f"the {owner}" if owner else f"[{'.'.join(tables)}]" if tables else "a config file"
    return message, f"{whose} takes {', '.join(known) or 'no options'}"


def _elsewhere(key: str, schema: TableSchema) -> str:
    """Return a hint if *key* is right, but in another table."""
    for name, part in schema.root.get("properties", {}).items():
        keys = schema.follow(part).get("properties", {})
        near = key.replace("-", "_").lower()
        if near in keys:
            return f"did you mean '{near}' in [{name}]?"
    return ""


def _missing(keys: Keys, part: Json, schema: TableSchema, owner: str) -> Problem:
    dotted = ".".join(keys)
    description = part.get("description", "")
    hint = f"'{dotted}=VALUE', {schema.in_words(part)}"
    return f"the {owner} needs {dotted}", f"{hint}: {description}" if description else hint


def _wrong(
    keys: Keys, part: Json, merged: MergedConfig, schema: TableSchema, detail: ErrorDetails
) -> Problem:
    prefix, subject = merged.place(keys)
    if detail["type"] in _OWN_WORDS:
        said = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return f"{prefix}{subject}: {said}", ""
    # What was given as a whole, also where only an item of it is wrong.
    value, words = merged.value(keys, detail["input"]), schema.in_words(part)
    message = f"{prefix}{subject} must be {words}, got {shown(value)}"
    return message, _hint(value, part, keys[-1] if keys else "")


def _hint(value: Any, part: Json, key: str) -> str:
    if part.get("type") == "array":
        if isinstance(value, list | Mapping) or not _could_be_item(value, part):
            return ""
        return f"write {key} = [{shown(value)}]"
    if not isinstance(value, str):
        return ""
    if part.get("type") in ("integer", "number") and _is_number(value):
        return f"write {key} = {value}, without quotes"
    if part.get("type") == "boolean" and value.lower() in ("true", "false"):
        return f"write {key} = {value.lower()}, without quotes"
    return did_you_mean(value, [c for c in part.get("enum", ()) if isinstance(c, str)])


def _could_be_item(value: Any, part: Json) -> bool:
    items = part.get("items", {})
    allowed = {kind.get("type") for kind in items.get("anyOf", [items])}
    return not allowed.isdisjoint(_TYPES.get(type(value), ()))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_problem(error: ValidationError) -> str:
    """Return the first problem in short, for generated files."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}" if where else problem["msg"]
