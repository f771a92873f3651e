"""The versions of the plugins that a run was trained with, kept with the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PluginVersion:
    """The provider of one dataset, architecture or score component.

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
        """The provider in words."""
        if self.is_local:
            return f"the plugin file {self.distribution}"
        return f"{self.distribution} {self.version}"

    def as_dict(self) -> dict[str, str]:
        """Return a JSON object."""
        return asdict(self)


def plugin_versions_from(stored: Iterable[Mapping[str, Any]]) -> tuple[PluginVersion, ...]:
    """Return the versions that :meth:`PluginVersion.as_dict` wrote."""
    keys = ("kind", "name", "distribution", "version")
    return tuple(PluginVersion(*(str(each.get(key, "")) for key in keys)) for each in stored)
