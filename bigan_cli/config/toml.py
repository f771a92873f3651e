"""Reading config files in TOML, with readable errors, and writing them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli
import tomli_w

from bigan_cli.atomic import expanded
from bigan_cli.errors import ConfigError
from bigan_cli.missing_paths import similar_path
from bigan_cli.regular_files import read_file_or_pipe

if TYPE_CHECKING:
    from bigan_cli.config.schema import RunConfig

_OTHER_FORMATS = (".yaml", ".yml", ".json", ".ini", ".cfg", ".py")
_SHOWN = 80  # characters of a faulty line


def read_toml(path: Path) -> dict[str, Any]:
    """Return what the TOML file *path* holds.

    Raises:
        ConfigError: It is missing, cannot be read or is not TOML; a syntax error is reported with
            file, line, column, the line itself and a caret.
    """
    _check_name(path)
    try:
        raw = read_file_or_pipe(path)
    except OSError as error:
        raise _problem(f"cannot read {path}: {error.strerror}") from error
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _problem(f"{path}:{line}: not UTF-8 text, which TOML must be") from error
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _problem(
            f"{path}:{error.lineno}:{error.colno}: {error.msg[:1].lower()}{error.msg[1:]}\n"
            f"{_with_caret(text, error.lineno, error.colno)}"
        ) from error
    except (RecursionError, ValueError) as error:
        # Nested too deeply, or a number of more digits than Python converts.
        raise _problem(f"{path}: {error}") from error


def _check_name(path: Path) -> None:
    template = "'bigan config init' writes a template"
    if path.suffix.lower() in _OTHER_FORMATS:
        raise _problem(f"{path} is not TOML", template)
    if path.is_dir():
        inside = path / "config.toml"
        hint = f"did you mean '{inside}'?" if inside.is_file() else template
        raise _problem(f"{path} is a folder, not a TOML file", hint)
    if not path.exists():
        raise _problem(f"{path} does not exist", similar_path(path) or template)


def _with_caret(text: str, lineno: int, colno: int) -> str:
    lines = text.split("\n")
    line = lines[lineno - 1] if lineno <= len(lines) else ""
    start = max(0, colno - 1 - _SHOWN // 2)
    shown = "".join(c if c.isprintable() else " " for c in line[start : start + _SHOWN])
    return f"    {shown}\n    {' ' * (colno - 1 - start)}^"


def _problem(message: str, hint: str = "") -> ConfigError:
    return ConfigError([(message, hint)])


def parse_value(text: str) -> Any:
    """Return *text* read as a TOML value; other text, and dates, are returned unchanged."""
    try:
        parsed = tomli.loads(f"value = {text}")
    except ValueError:
        return text
    value = parsed.get("value")
    if len(parsed) != 1 or not isinstance(value, str | int | float | bool | list | dict):
        return text
    return value


def to_toml(config: RunConfig) -> str:
    """Return the whole of *config* as TOML; reading it back gives the same configuration.

    Keys without a value are left out, since TOML has none. The data folder and plugin files
    become absolute, so that the file means the same wherever it is copied to.
    """
    tree = config.model_dump(mode="json", by_alias=True)
    if config.data.root is not None:
        tree["data"]["root"] = str(expanded(config.data.root).absolute())
    tree["plugins"] = [str(expanded(path).absolute()) for path in config.plugins]
    return tomli_w.dumps(without_none(tree))


def without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return *tree* without the keys whose value is None, in all its tables."""
    return {
        key: without_none(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if value is not None
    }
