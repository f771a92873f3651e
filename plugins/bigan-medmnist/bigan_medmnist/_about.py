"""Descriptions of the datasets, from MedMNIST's own package.

Importing ``medmnist`` takes seconds, since it imports torch, torchvision, pandas and more, and
makes a folder in the user's home. All that is needed here is one literal in its ``info.py``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bigan_cli.errors import PluginError, UsageError, did_you_mean

_TABLE = "INFO"


@dataclass(frozen=True)
class About:
    """One set.

    Attributes:
        subset: Its name, for instance ``pathmnist``.
        python_class: Its class in the package.
        channels: 1 or 3.
        labels: The names of its labels, in their order.
        multi_label: Whether an image may have several of them, or none.
    """

    subset: str
    python_class: str
    channels: int
    labels: tuple[str, ...]
    multi_label: bool


def about(subset: str) -> About:
    """Return what is known of the set *subset*.

    Raises:
        UsageError: There is no two-dimensional set of that name.
        PluginError: The installed ``medmnist`` is not one that this package can read.
    """
    table = _table()
    flat = [name for name, info in table.items() if not name.endswith("3d")]
    if subset in flat:
        info = table[subset]
        labels = tuple(name for _, name in sorted(info["label"].items(), key=lambda e: int(e[0])))
        multi = info["task"].startswith("multi-label")
        return About(subset, info["python_class"], info["n_channels"], labels, multi)
    if subset in table:
        raise UsageError(
            f"data.options.subset: {subset} is three-dimensional, and bigan learns images",
            f"there are {', '.join(flat)}",
        )
    raise UsageError(
        f"data.options.subset: MedMNIST has no set '{subset}'",
        f"{did_you_mean(subset, flat)} there are {', '.join(flat)}".strip(),
    )


@cache
def _table() -> dict[str, dict[str, Any]]:
    package = find_spec("medmnist")
    if package is None or package.origin is None:
        raise PluginError("the package medmnist is not installed", "pip install medmnist")
    file = Path(package.origin).with_name("info.py")
    try:
        for statement in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == _TABLE:
                table: dict[str, dict[str, Any]] = ast.literal_eval(statement.value)
                return table
    except (OSError, SyntaxError, ValueError) as error:
        raise PluginError(f"cannot read {file}: {error}", "bigan-medmnist reads medmnist 3") from (
            error
        )
    raise PluginError(f"{file} has no table {_TABLE}", "bigan-medmnist reads medmnist 3")
