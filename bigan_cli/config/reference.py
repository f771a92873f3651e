"""Every key of a config file with what it allows, its default and what it means.

The template of ``bigan config init``, ``bigan config keys`` and ``docs/configuration.md`` are
made from this list, and the list from the declarations of the fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import tomli
import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from bigan_cli.config.constraints import TableSchema
from bigan_cli.config.flag import ARCHITECTURE_FLAGS, Flag
from bigan_cli.config.presets import LEAVE_ONE_OUT
from bigan_cli.config.resolve import DEFAULT_ARCHITECTURE, AnyPlugin, owner_of
from bigan_cli.config.schema import RunConfig
from bigan_cli.config.sources import Keys, flatten
from bigan_cli.config.toml import without_none
from bigan_cli.contracts import Architecture, Dataset
from bigan_cli.plugins import Registry

_WIDTH = 92

# Tables with the options of any number of plugins.
_OF_MANY = (("score", "options"), ("output", "tracker_options"))


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        keys: The path of keys to it, itself last.
        allowed: What it allows, in words.
        default: Its default; None without one.
        required: Whether it must be given.
        description: What it means.
        flag: The flag that sets it, or None.
        example: A value to show if there is no default, or None.
    """

    keys: Keys
    allowed: str
    default: Any
    required: bool
    description: str
    flag: Flag | None
    example: Any

    @property
    def dotted(self) -> str:
        """The key as ``--set`` takes it."""
        return ".".join(self.keys)


@dataclass(frozen=True)
class TableOfKeys:
    """One table: the keys that lead to it, what it is about, and what it holds."""

    keys: Keys
    title: str
    rows: tuple[Key, ...]


def tables_of(plugins: Iterable[AnyPlugin]) -> Iterator[TableOfKeys]:
    """Yield every table of a config file in order, with the options of *plugins*."""
    owners = [owner_of(cls) for cls in plugins if cls.Options.model_fields]
    for keys, title, model in _sections(RunConfig):
        rows = tuple(key for key in keys_of(model, keys) if not key.keys[-1].endswith("options"))
        yield TableOfKeys(keys, title, rows)
        for owner in owners:
            if owner.table[:1] == keys:
                rows = tuple(keys_of(owner.options, owner.table))
                yield TableOfKeys(owner.table, f"Options of the {owner.title}.", rows)


def all_tables(registry: Registry) -> Iterator[TableOfKeys]:
    """Yield every table of a config file in order, with the options of every plugin."""
    kinds = (registry.datasets, registry.architectures, registry.components, registry.trackers)
    yield from tables_of(provided.cls for kind in kinds for provided in kind.values())


def _sections(model: type[BaseModel]) -> Iterator[tuple[Keys, str, type[BaseModel]]]:
    yield (), "", model
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield (name,), (field.annotation.__doc__ or "").strip(), field.annotation


def keys_of(model: type[BaseModel], table: Keys = ()) -> Iterator[Key]:
    """Yield the keys of a table, without the tables in it."""
    schema = TableSchema.of(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        part = schema.child(schema.root, key) or {}
        if part.get("properties"):
            continue
        required = field.is_required()
        default = None if required else field.get_default(call_default_factory=True)
        examples = part.get("examples", [None])
        yield Key(
            keys=(*table, key),
            allowed=schema.in_words(part),
            default=to_jsonable_python(default),
            required=required,
            description=field.description or "",
            flag=flag_of(field, (*table, key)),
            example=examples[0],
        )


def flag_of(field: FieldInfo, keys: Keys) -> Flag | None:
    """Return the flag of the setting at *keys*, declared by *field*, or None."""
    flag = next((item for item in field.metadata if isinstance(item, Flag)), None)
    if flag is None and keys[:2] == ("model", "options"):
        flag = ARCHITECTURE_FLAGS.get(keys[-1])
    return flag


def template(
    registry: Registry,
    dataset: type[Dataset],
    architecture: type[Architecture],
    plugins: Sequence[str] = (),
) -> str:
    """Return a config file with every key, its default for *dataset*, and what it means.

    Args:
        registry: The options of all its score components and trackers are shown.
        dataset: Its preset and options are written.
        architecture: Its options are written.
        plugins: Local plugin files to name.
    """
    lines = [
        "# A config file: bigan train -c THIS_FILE",
        "# Each key has its default here; keys that you do not change can be deleted.",
    ]
    values = {**_values(dataset, architecture), "plugins": [*plugins]}
    components = [provided.cls for provided in registry.components.values()]
    trackers = [provided.cls for provided in registry.trackers.values()]
    for table in tables_of([dataset, architecture, *components, *trackers]):
        # Which of them are used is not known here: their options are shown, not set.
        mark = "# " if table.keys[:2] in _OF_MANY else ""
        lines += ["", *_comment(table.title)] if table.title else []
        lines += [f"{mark}[{'.'.join(table.keys)}]"] if table.keys else []
        for row in table.rows:
            lines += ["", *_comment(row.description), *_comment(_allowed(row), "#   ")]
            assignment = _assignment(row, _at(values, row.keys, row.default))
            lines.append(mark + assignment.removeprefix(mark))
    return "\n".join(lines) + "\n"


def _values(dataset: type[Dataset], architecture: type[Architecture]) -> dict[str, Any]:
    """Return what differs from the general defaults for this dataset and architecture."""
    values = {table: dict(part) for table, part in dataset.preset.items()}
    model = values.setdefault("model", {})
    if model.get("architecture", DEFAULT_ARCHITECTURE) != architecture.name:
        model.pop("options", None)
    model["architecture"] = architecture.name
    values.setdefault("data", {})["dataset"] = dataset.name
    return values


def _at(values: Mapping[str, Any], keys: Keys, default: Any) -> Any:
    *tables, last = keys
    for table in tables:
        values = values.get(table, {})
    return values.get(last, default)


def _allowed(row: Key) -> str:
    said = f"{row.allowed}; must be given" if row.required else row.allowed
    return f"{said} [{row.flag.names}]" if row.flag else said


def _comment(text: str, start: str = "# ") -> list[str]:
    return wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start)


def _assignment(row: Key, value: Any) -> str:
    key = row.keys[-1]
    if value is None:
        return f"# {key} = {'' if row.example is None else toml_value(row.example)}"
    # A table in one line could not be followed by [table] headers of the same name.
    return f"# {key} = {{}}" if value == {} else f"{key} = {toml_value(value)}"


def toml_value(value: Any) -> str:
    """Return *value* as TOML in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        pairs = [
            f"{_toml_key(str(k))} = {toml_value(v)}" for k, v in value.items() if v is not None
        ]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").rstrip("\n")


def _toml_key(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")


def markdown(registry: Registry) -> str:
    """Return the reference of all keys: of every table, every plugin's options, every preset."""
    parts: list[str] = []
    for table in all_tables(registry):
        name = f"`[{'.'.join(table.keys)}]`" if table.keys else "Before the first table"
        if table.keys[1:2] == ("options",):
            parts += [f"### {name}: {table.title[0].lower()}{table.title[1:].rstrip('.')}", ""]
        else:
            parts += [f"## {name}", "", *([table.title, ""] if table.title else [])]
        parts += ["| key | what it takes | default | flag | meaning |", "|---|---|---|---|---|"]
        parts += [*map(_markdown_row, table.rows), ""]
    return "\n".join([*parts, *_markdown_presets(registry)]).rstrip("\n") + "\n"


def _markdown_row(row: Key) -> str:
    default = "must be given" if row.required else ""
    if row.default is not None:
        default = f"`{toml_value(row.default)}`"
    flag = f"`{row.flag.names}`" if row.flag else ""
    cells = (f"`{row.dotted}`", row.allowed, default, flag, row.description)
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _markdown_presets(registry: Registry) -> Iterator[str]:
    presets: dict[str, Mapping[str, Any]] = {"leave-one-out": LEAVE_ONE_OUT}
    for name, provided in sorted(registry.datasets.items()):
        presets[f"`{name}`"] = provided.cls.preset
    for name, architecture in sorted(registry.architectures.items()):
        presets[f"`{name}`"] = architecture.cls.preset
    heading = "| protocol, dataset or architecture | key | value |"
    yield from ("## Presets", "", heading, "|---|---|---|")
    for name, preset in presets.items():
        for keys, value in flatten(without_none(preset)):
            yield f"| {name} | `{'.'.join(keys)}` | `{toml_value(value)}` |"


def with_sources(text: str, sources: Mapping[str, str]) -> str:
    """Return the config file *text*, written by ``to_toml``, with the source of each value.

    Args:
        text: TOML.
        sources: Dotted key -> where its value comes from.
    """
    lines: list[str] = []
    for keys, value in flatten(tomli.loads(text)):
        *tables, last = keys
        header = f"[{'.'.join(map(_toml_key, tables))}]"
        if tables and header not in lines:
            lines += ["", header]
        lines.append(f"{_toml_key(last)} = {toml_value(value)}  # {sources['.'.join(keys)]}")
    return "\n".join(lines) + "\n"
