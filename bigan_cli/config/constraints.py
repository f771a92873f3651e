"""Descriptions of the allowed values of a setting, and of given ones, for messages.

They come from the JSON schema that pydantic derives from a table, so a constraint is only
in the declaration of its field. A field may have its own description:
``Field(..., json_schema_extra={"words": "auto or a number"})``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticUserError

Json = Mapping[str, Any]
_LONGEST = 60


@dataclass(frozen=True)
class TableSchema:
    """The JSON schema of one table.

    Attributes:
        root: Schema of the table itself.
        definitions: Targets of ``$ref``.
    """

    root: Json
    definitions: Json

    @classmethod
    @lru_cache(maxsize=64)  # several per command, and each takes 10 ms
    def of(cls, model: type[BaseModel]) -> TableSchema:
        """Return the schema of *model*; of one that has none (exotic types), only its keys."""
        try:
            schema = model.model_json_schema(by_alias=True)
        except PydanticUserError:
            keys: dict[str, Json] = {
                name: {"description": field.description or ""}
                for name, field in model.model_fields.items()
            }
            schema = {"type": "object", "properties": keys, "additionalProperties": False}
        return cls(schema, schema.get("$defs", {}))

    def follow(self, schema: Json) -> Json:
        """Return *schema* with a reference resolved."""
        while "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self.definitions[schema["$ref"].rpartition("/")[2]], **rest}
        return schema

    def child(self, schema: Json, key: str) -> Json | None:
        """Return the schema of *key* in a table with *schema*, or None if there is none."""
        schema = self.follow(schema)
        found = schema.get("properties", {}).get(key)
        if found is None and isinstance(schema.get("additionalProperties"), Mapping):
            found = schema["additionalProperties"]
        return None if found is None else self.follow(found)

    def at(self, keys: Iterable[str]) -> Json | None:
        """Return the schema of the value at the path *keys*, or None if there is none."""
        part: Json | None = self.root
        for key in keys:
            part = self.child(part, key) if part is not None else None
        return part

    def in_words(self, schema: Json) -> str:
        """Return the allowed values of *schema*, such as ``"a whole number of 1 or more"``."""
        schema = self.follow(schema)
        if "words" in schema:
            return str(schema["words"])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            known = [self.in_words(c) for c in choices if self.follow(c).get("type") != "null"]
            return alternatives(dict.fromkeys(known))
        if "const" in schema:
            return shown(schema["const"])
        if "enum" in schema:
            return alternatives(shown(value) for value in schema["enum"])
        if schema.get("type") == "array":
            return self._list_in_words(schema)
        return _SIMPLE.get(str(schema.get("type")), _anything)(schema)

    def _list_in_words(self, schema: Json) -> str:
        each = [self.in_words(item) for item in schema.get("prefixItems", ())]
        if each and len(set(each)) > 1:
            return f"a list of {len(each)} values: {'; '.join(each)}"
        item = each[0] if each else self.in_words(schema.get("items", {}))
        least, most = schema.get("minItems"), schema.get("maxItems")
        if least and least == most:
            return f"a list of {least} values, each {item}"
        return f"a list of {least} or more, each {item}" if least else f"a list, each item {item}"


def alternatives(words: Iterable[str]) -> str:
    """Return *words* as ``"a, b or c"``."""
    *most, last = list(words) or ["something else"]
    return f"{', '.join(most)} or {last}" if most else last


def shown(value: Any) -> str:
    """Return *value* as TOML, truncated if it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _number(noun: str, schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{noun} from {_figure(low)} to {_figure(high)}"
    limits = [
        ("of {} or more", low),
        ("more than {}", schema.get("exclusiveMinimum")),
        ("of {} or less", high),
        ("less than {}", schema.get("exclusiveMaximum")),
    ]
    said = [text.format(_figure(value)) for text, value in limits if value is not None]
    return f"{noun} {' and '.join(said)}" if said else noun


def _figure(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _text(schema: Json) -> str:
    if "format" in schema:
        return "a path" if "path" in schema["format"] else f"text ({schema['format']})"
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    return "text that is not empty" if schema.get("minLength") else "text"


def _anything(_schema: Json) -> str:
    return "something else"


_SIMPLE: Mapping[str, Callable[[Json], str]] = {
    "integer": lambda schema: _number("a whole number", schema),
    "number": lambda schema: _number("a number", schema),
    "string": _text,
    "boolean": lambda _schema: "true or false",
    "object": lambda _schema: "a table",
}
