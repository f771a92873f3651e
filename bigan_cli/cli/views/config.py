"""A configuration, the keys of a config file, and the problems of one, on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bigan_cli.cli.terminal import Terminal
from bigan_cli.config.load import LoadedConfig
from bigan_cli.config.reference import TableOfKeys, toml_value, with_sources
from bigan_cli.config.toml import to_toml


def show_config(terminal: Terminal, loaded: LoadedConfig, *, sources: bool, as_json: bool) -> None:
    """Print a complete configuration, with where each value comes from if *sources*."""
    for note in loaded.notes:
        terminal.note(note)
    if as_json:
        document = {"config": loaded.config.model_dump(mode="json", by_alias=True)}
        terminal.json({**document, "sources": loaded.sources} if sources else document)
        return
    text = to_toml(loaded.config)
    if sources:
        text = with_sources(text, loaded.sources)
    terminal.result(text.rstrip("\n"))


def check_document(
    checked: Mapping[Path, tuple[Sequence[tuple[str, str]], bool]],
) -> dict[str, Any]:
    """Return the JSON document of ``bigan config check``.

    Args:
        checked: File -> (message, hint) of each problem, and whether ``data.root`` is missing.
    """
    return {
        "files": [
            {
                "file": file,
                "ok": not each,
                "problems": [{"message": m, "hint": h} for m, h in each],
                "wants_data_root": wants_root,
            }
            for file, (each, wants_root) in checked.items()
        ]
    }


def show_valid_files(
    terminal: Terminal, checked: Mapping[Path, tuple[Sequence[tuple[str, str]], bool]]
) -> None:
    """Print a line for each file without problems; for *checked* see :func:`check_document`."""
    for file, (each, wants_root) in checked.items():
        if not each:
            terminal.result(f"{file}: ok{', with --data-root DIR' if wants_root else ''}")


def show_keys(terminal: Terminal, tables: Iterable[TableOfKeys], *, as_json: bool) -> None:
    """Print every key of a config file."""
    rows = [(table.title, row) for table in tables for row in table.rows]
    if as_json:
        terminal.json(
            {
                "keys": [
                    {
                        "key": row.dotted,
                        "table": title,
                        "allowed": row.allowed,
                        "required": row.required,
                        "default": row.default,
                        "flag": row.flag and row.flag.names,
                        "description": row.description,
                    }
                    for title, row in rows
                ]
            }
        )
        return
    terminal.table(
        ("key", "takes", "default", "flag", "meaning"),
        [
            (
                row.dotted,
                row.allowed,
                "required" if row.required else row.default and toml_value(row.default),
                row.flag and row.flag.names,
                row.description,
            )
            for _, row in rows
        ],
    )
