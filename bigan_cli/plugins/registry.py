"""What was found, by name; and for what is not usable, the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bigan_cli.contracts import Architecture, Dataset, ScoreComponent
from bigan_cli.errors import PluginError, did_you_mean

BUILT_IN = "bigan-cli"

T = TypeVar("T")


@dataclass(frozen=True)
class Provided(Generic[T]):
    """One class, and where it comes from.

    Attributes:
        cls: The data set, architecture or score component.
        plugin: Name of the entry point or built-in module, or the path of a local file.
        distribution: Name of the package; ``"bigan-cli"`` for built-ins, the path of a local file.
        version: Version of the package; empty for a local file.
    """

    cls: type[T]
    plugin: str
    distribution: str
    version: str

    @property
    def source(self) -> str:
        """Package and version in one string."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class PluginInfo:
    """A plugin that works: hook -> the names of what it provides through it."""

    name: str
    distribution: str
    version: str
    provides: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be used, with the reason in words."""

    name: str
    distribution: str
    version: str
    reason: str

    def __str__(self) -> str:
        package = f" ({self.distribution} {self.version})" if self.distribution else ""
        return f"plugin '{self.name}'{package} is broken: {self.reason}"


@dataclass(frozen=True)
class Kind:
    """One kind of thing a plugin provides."""

    hook: str
    word: str
    base: type[Any]
    listing: str


DATASET = Kind("bigan_datasets", "data set", Dataset, "bigan datasets")
ARCHITECTURE = Kind("bigan_architectures", "architecture", Architecture, "bigan architectures")
COMPONENT = Kind("bigan_score_components", "score component", ScoreComponent, "")
KINDS = (DATASET, ARCHITECTURE, COMPONENT)


@dataclass(frozen=True)
class Registry:
    """Everything that can be used, by name, and everything that cannot, with the reason.

    Attributes:
        datasets: Data sets by name; of two with one name the first is listed.
        architectures: Likewise.
        components: Score components, likewise.
        plugins: Every plugin that works.
        broken: Every plugin that does not.
        clashes: Hook -> name -> all who provide it, where they are more than one.
    """

    datasets: Mapping[str, Provided[Dataset]]
    architectures: Mapping[str, Provided[Architecture]]
    components: Mapping[str, Provided[ScoreComponent]]
    plugins: tuple[PluginInfo, ...] = ()
    broken: tuple[BrokenPlugin, ...] = ()
    clashes: Mapping[str, Mapping[str, tuple[Provided[Any], ...]]] = field(default_factory=dict)

    def dataset(self, name: str) -> type[Dataset]:
        """Return the data set *name*; case and ``-`` for ``_`` do not matter.

        Raises:
            PluginError: It is unknown, or provided twice.
        """
        return self._find(DATASET, self.datasets, name)

    def all_of(self, kind: Kind) -> Mapping[str, Provided[Any]]:
        """Return what there is of *kind*, by name."""
        found: dict[str, Mapping[str, Provided[Any]]] = {
            DATASET.hook: self.datasets,
            ARCHITECTURE.hook: self.architectures,
            COMPONENT.hook: self.components,
        }
        return found[kind.hook]

    def find(self, kind: Kind, name: str) -> type[Any]:
        """Return the class *name* of *kind*; as :meth:`dataset`."""
        return self._find(kind, self.all_of(kind), name)

    def architecture(self, name: str) -> type[Architecture]:
        """Return the architecture *name*; as :meth:`dataset`."""
        return self._find(ARCHITECTURE, self.architectures, name)

    def component(self, name: str) -> type[ScoreComponent]:
        """Return the score component *name*; as :meth:`dataset`."""
        return self._find(COMPONENT, self.components, name)

    def _find(self, kind: Kind, known: Mapping[str, Provided[T]], name: str) -> type[T]:
        folded = fold(name)
        if folded not in known:
            raise PluginError(f"unknown {kind.word} '{name}'", self._hint(kind, known, name))
        clash = self.clashes.get(kind.hook, {}).get(folded)
        if clash:
            raise PluginError(
                f"{kind.word} '{folded}' is provided by {listed(p.source for p in clash)}",
                _how_to_choose(clash),
            )
        return known[folded].cls

    def _hint(self, kind: Kind, known: Mapping[str, Any], name: str) -> str:
        near = did_you_mean(name, list(known))
        if kind.listing:
            near = f"{near} '{kind.listing}' lists all {len(known)}".strip()
        return self.with_broken(near or f"there are {', '.join(sorted(known))}", name)

    def with_broken(self, hint: str, name: str) -> str:
        """Return *hint* with the broken plugins, any of which may be the one that has *name*."""
        # The plugin that bears the name asked for is the likeliest culprit.
        broken = sorted(self.broken, key=lambda p: fold(name) not in fold(p.name))
        return "; ".join([hint, *(str(plugin) for plugin in broken)])


def _how_to_choose(clash: Sequence[Provided[Any]]) -> str:
    files = [p for p in clash if not p.version and p.distribution == p.plugin]
    removable = [p for p in clash if p.distribution != BUILT_IN and p not in files]
    if removable:
        return f"uninstall one, or switch it off for now: BIGAN_PLUGINS=-{removable[-1].plugin}"
    return f"give the one in {clash[-1].plugin} another name"


def listed(words: Iterable[str]) -> str:
    """Return *words* as ``"a, b and c"``."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def fold(name: str) -> str:
    """Return *name* without regard to case and to ``-`` for ``_``."""
    return name.lower().replace("-", "_")
