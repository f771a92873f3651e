"""Text for people and JSON for programs: counts, sizes, durations, documents."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

JSON_SCHEMA = 1

# Control characters of a file name must not reach a terminal.
CONTROL_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
_BREAKS = {
    **CONTROL_ESCAPES,
    ord("\t"): "\\t",
    ord("\n"): "\\n",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 image"``, ``"1,797 images"``, ``"2 classes"`` (with *plural*)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def one_line(text: str) -> str:
    r"""Return *text*, a file name perhaps, for a person: what would end a line becomes ``\n``."""
    return text.translate(_BREAKS)


def path_text(path: Path) -> str:
    r"""Return a path as text; a byte that is not UTF-8 becomes ``\udcXX``."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def spreadsheet_path(text: str) -> str:
    """Return the relative path *text* such that no spreadsheet takes it for a formula.

    Spreadsheets run cells that start with ``=``, ``+``, ``-`` or ``@``, and some cut tabs and
    line breaks off before. ``./`` in front does not change which file a path names.
    """
    return f"./{text}" if text.startswith(_FORMULA_STARTS) else text


def without_spreadsheet_prefix(text: str) -> str:
    """Return the path that :func:`spreadsheet_path` was called with."""
    return text[2:] if text.startswith("./") and text[2:].startswith(_FORMULA_STARTS) else text


def none_readable(skipped: int) -> str:
    """Return the message for inputs of which none could be read."""
    if skipped == 1:
        return "the only input could not be read"
    return f"none of {skipped:,} inputs could be read"


def human_size(size: int) -> str:
    """Return a number of bytes as people write it: ``"17 B"``, ``"2.1 MB"`` (powers of 1000)."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    digits = 1 if unit != "B" and value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def human_time(seconds: float) -> str:
    """Return a duration as people write it: ``"0.3s"``, ``"42s"``, ``"3m 05s"``, ``"2h 07m"``."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    minutes = round(whole / 60)
    return f"{minutes // 60}h {minutes % 60:02}m"


def json_document(value: Mapping[str, Any]) -> str:
    """Return *value* as one indented JSON document, with its ``schema``.

    Paths become strings, numpy scalars and arrays become numbers and lists, and numbers that
    JSON does not have (NaN, infinity) become null.
    """
    return json.dumps({"schema": JSON_SCHEMA, **_plain(value)}, indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    """Return *value* in terms that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without importing numpy
        return _plain(value.tolist())
    return value
