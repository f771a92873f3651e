"""Help on the options of the dataset and architecture that a command line names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bigan_cli.config.reference import Key, keys_of, toml_value
from bigan_cli.config.resolve import owner_of
from bigan_cli.plugins import load_registry
from bigan_cli.plugins.registry import ARCHITECTURE, DATASET

_KINDS = {"--dataset": DATASET, "--architecture": ARCHITECTURE}


def sections_of(named: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, str]]]:
    """Return heading -> rows of an option and its meaning, for each class that is named.

    Args:
        named: ``--dataset``, ``--architecture`` and ``--plugin``, each with what was given.

    Raises:
        PluginError: There is no such dataset, architecture or file, or it is broken.
    """
    registry = load_registry([Path(file) for file in named.get("--plugin", ())])
    sections = {}
    for flag, kind in _KINDS.items():
        for name in named.get(flag, ())[-1:]:
            owner = owner_of(registry.find(kind, name))
            rows = [
                (f"--set {key.dotted}=VALUE", _meaning(key))
                for key in keys_of(owner.options, owner.table)
            ]
            sections[f"Options of the {owner.title}"] = rows or [("none", "It has no options.")]
    return sections


def _meaning(key: Key) -> str:
    default = "" if key.default is None else f" [default: {toml_value(key.default)}]"
    said = f"{key.description.rstrip('.')}: {key.allowed}"
    return f"{said}; must be given" if key.required else f"{said}{default}"
