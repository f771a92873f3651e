"""Whence came the plugins that a run was made with: kept with the run, told when they are gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PluginVersion:
    """Who provided one data set, architecture or score component.

    Attributes:
        kind: Of which kind it is, in words.
        name: Its name.
        distribution: The package, or the path of a file of the user's own.
        version: Of the package; empty for a file.
    """

    kind: str
    name: str
    distribution: str
    version: str

    @property
    def is_local(self) -> bool:
        """Whether it is in a file of the user's own."""
        return not self.version

    @property
    def source(self) -> str:
        """Where it came from, in words."""
        if self.is_local:
            return f"the plugin file {self.distribution}"
        return f"{self.distribution} {self.version}"

    def as_dict(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return asdict(self)


def origins_from(stored: Iterable[Mapping[str, Any]]) -> tuple[PluginVersion, ...]:
    """Return what :meth:`PluginVersion.as_dict` made."""
    keys = ("kind", "name", "distribution", "version")
    return tuple(PluginVersion(*(str(each.get(key, "")) for key in keys)) for each in stored)
