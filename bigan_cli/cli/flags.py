"""Flags and settings: reads settings from a command line, and names flags in messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bigan_cli.cli._setting_options import ROWS

_NAMES = {key: names for key, names, *_ in ROWS}
_VALUES = {"true": 0, "tanh": 0, "false": 1, "sigmoid": 1}
_SIZE = re.compile(r"(\d{1,9})\s*[x,]\s*(\d{1,9})", re.IGNORECASE)
# 'train.lr' and 'train.lr=0.001', as messages below the command line write settings.
_SETTING = re.compile(r"'((?:data|model|train|score|output)(?:\.\w+)+|plugins)(?:=([^'\n]*))?'")
# 'overwrite=True' and 'checkpoint=last': arguments of a workflow that a flag has the name of.
_ARGUMENT = re.compile(
    r"'(resume|overwrite|strict|checkpoint|run|output|threshold|maps|mode|dirs|image_dir|fps|scale"
    r"|review_fpr|fdr|sort|shard|poll|flagged|host|port|false_alarm_rate)=([^'\n]*)'"
)


def as_flags(text: str) -> str:
    """Return *text* with every quoted setting that has a flag replaced by the flag.

    ``'train.lr'`` becomes ``--lr``, ``'train.device=auto'`` becomes ``--device auto``, and
    ``'train.loss=hinge'``, which has no flag, ``--set train.loss=hinge``. ``'overwrite=True'``
    becomes ``--overwrite``.
    """
    text = _ARGUMENT.sub(lambda match: _argument_flag(match[1], match[2]), text)
    return _SETTING.sub(lambda match: _as_flag(match[1], match[2]), text)


def _argument_flag(name: str, value: str) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if value == "True" else f"{flag} {value}"


def _as_flag(key: str, value: str | None) -> str:
    names = _NAMES.get(key, "")
    on, _, off = names.partition("/")
    if value is None:
        return names or f"'{key}'"
    if off and value in _VALUES:
        return (on, off)[_VALUES[value]]
    return f"{on} {value}" if on else f"--set {key}={value}"


def read_settings(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given (neither None nor an empty list).

    Args:
        texts: Dotted key -> value as typer read it. Texts are converted where the setting is not
            a text: ``28x32`` for ``data.image_size``, a number for ``data.outlier_portion``,
            indices for classes, ``--tanh`` and ``--sigmoid``.
    """
    return {key: _read(key, value) for key, value in texts.items() if value not in (None, [])}


def _read(key: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_read(key, item) for item in value]
    read = _READERS.get(key)
    return read(value) if read else value


def class_refs(texts: Sequence[str] | None) -> list[int | str]:
    """Return the classes that a command line names, each by its index or its name."""
    return [_class_ref(text) for text in texts or ()]


def _class_ref(text: str) -> int | str:
    # "01" stays a name: a folder may be called that.
    return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,8}", text) else text


def _image_size(text: str) -> int | list[int] | str:
    size = _SIZE.fullmatch(text.strip())
    if size:
        return [int(size[1]), int(size[2])]
    return int(text) if re.fullmatch(r"\s*\d{1,9}\s*", text) else text


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "data.inlier": _class_ref,
    "data.outlier": _class_ref,
    "data.image_size": _image_size,
    "data.outlier_portion": _number,
    "model.options.output": lambda tanh: "tanh" if tanh else "sigmoid",
}
