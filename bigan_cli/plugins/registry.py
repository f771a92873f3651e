"""The plugin classes found, by name, and the plugins that cannot be used, with the reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bigan_cli.errors import PluginError, did_you_mean
from bigan_cli.plugins.names import SWITCH, join_words, normalize
from bigan_cli.plugins.versions import PluginVersion

if TYPE_CHECKING:
    from bigan_cli.contracts import Architecture, Dataset, Engine, ScoreComponent, Tracker

BUILT_IN = "bigan-cli"
UNKNOWN = "unknown package"
_ELSEWHERE = "'plugins=FILE' names its present place"

T = TypeVar("T")


@dataclass(frozen=True)
class Provided(Generic[T]):
    """One plugin class and the package that provides it.

    Attributes:
        name: The name of the class.
        plugin: Name of the entry point or built-in module, or the path of a local file.
        distribution: Name of the package; ``"bigan-cli"`` for built-ins, the path of a local file.
        version: Version of the package; empty for a local file.
        load: Returns the class. A built-in is imported at the first call.
    """

    name: str
    plugin: str
    distribution: str
    version: str
    load: Callable[[], type[T]] = field(compare=False, repr=False)

    @property
    def cls(self) -> type[T]:
        """The dataset, architecture, score component, tracker or engine."""
        return self.load()

    @property
    def source(self) -> str:
        """Package and version in one string."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def is_local(self) -> bool:
        """Whether it is a plugin file of the user's own."""
        return self.distribution == self.plugin and not self.version


@dataclass(frozen=True)
class PluginInfo:
    """A plugin that works: hook -> the names of what it provides through it."""

    name: str
    distribution: str
    version: str
    provides: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that cannot be used, with the reason.

    Attributes:
        name: Name of the entry point, or the path of a local file.
        distribution: Name of the package, or the path of a local file.
        version: Version of the package; empty for a local file.
        reason: Why it cannot be used.
        unnamed: Whether it is a file that only a config file, a run or a model names, and that
            therefore was not run.
    """

    name: str
    distribution: str
    version: str
    reason: str
    unnamed: bool = False

    def __str__(self) -> str:
        if self.unnamed:
            return f"plugin file {self.name} is run only if you name it: 'plugins={self.name}'"
        if self.is_local:
            return f"plugin file {self.name}: {self.reason}"
        if not self.distribution:
            return f"plugin '{self.name}': {self.reason}"
        package = f"{self.distribution} {self.version}".strip()
        return f"plugin '{self.name}' ({package}) is broken: {self.reason}"

    @property
    def is_local(self) -> bool:
        """Whether it is a plugin file of the user's own."""
        return self.distribution == self.name and not self.version

    def is_called(self, name: str) -> bool:
        """Return whether the plugin or its package has this name."""
        return normalize(name) in {normalize(self.name), normalize(self.distribution)}


@dataclass(frozen=True)
class Disabled:
    """An installed plugin that ``BIGAN_PLUGINS`` disables."""

    name: str
    distribution: str

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution})"

    def is_called(self, name: str) -> bool:
        """Return whether the plugin or its package has this name."""
        return normalize(name) in {normalize(self.name), normalize(self.distribution)}


@dataclass(frozen=True)
class Kind:
    """One kind of thing a plugin provides.

    Attributes:
        hook: The hook that returns its classes.
        word: What it is called.
        base_name: The name of its base class.
        listing: The command that lists it.
        built_ins: The package of the built-in ones. Each module of it whose name does not start
            with ``_`` provides one class of the module's name; empty without built-ins.
    """

    hook: str
    word: str
    base_name: str
    listing: str
    built_ins: str = ""

    @property
    def base(self) -> type[Any]:
        """The base class."""
        from bigan_cli import contracts  # imports pydantic

        base: type[Any] = getattr(contracts, self.base_name)
        return base


DATASET = Kind("bigan_datasets", "dataset", "Dataset", "bigan datasets", "bigan_cli.datasets")
ARCHITECTURE = Kind(
    "bigan_architectures",
    "architecture",
    "Architecture",
    "bigan architectures",
    "bigan_cli.architectures",
)
COMPONENT = Kind(
    "bigan_score_components",
    "score component",
    "ScoreComponent",
    "bigan components",
    "bigan_cli.scoring.components",
)
TRACKER = Kind("bigan_trackers", "tracker", "Tracker", "bigan plugins")
ENGINE = Kind("bigan_engines", "engine", "Engine", "bigan plugins")
KINDS = (DATASET, ARCHITECTURE, COMPONENT, TRACKER, ENGINE)


@dataclass(frozen=True)
class Shadowed:
    """A class of an installed plugin that is not used, as bigan has one of that name itself."""

    kind: Kind
    provided: Provided[Any]

    def __str__(self) -> str:
        return (
            f"{self.kind.word} '{self.provided.name}' of {self.provided.source} is not used: "
            "bigan has one of that name itself"
        )


@dataclass(frozen=True)
class Registry:
    """All plugin classes that can be used, and all plugins that cannot, with the reason.

    Attributes:
        datasets: Datasets by name; of two with one name the first.
        architectures: Likewise.
        components: Score components, likewise.
        trackers: Trackers, likewise.
        engines: Engines, likewise.
        plugins: Every plugin that works.
        broken: Every plugin that does not.
        clashes: Hook -> name -> all classes of that name, if there are several.
        shadowed: Classes not used because a built-in has their name.
        disabled: Installed plugins that ``BIGAN_PLUGINS`` disables.
        plugin_versions: The plugin versions of the run at hand, if any.
    """

    datasets: Mapping[str, Provided[Dataset]]
    architectures: Mapping[str, Provided[Architecture]]
    components: Mapping[str, Provided[ScoreComponent]]
    trackers: Mapping[str, Provided[Tracker]] = field(default_factory=dict)
    engines: Mapping[str, Provided[Engine]] = field(default_factory=dict)
    plugins: tuple[PluginInfo, ...] = ()
    broken: tuple[BrokenPlugin, ...] = ()
    clashes: Mapping[str, Mapping[str, tuple[Provided[Any], ...]]] = field(default_factory=dict)
    shadowed: tuple[Shadowed, ...] = ()
    disabled: tuple[Disabled, ...] = ()
    plugin_versions: tuple[PluginVersion, ...] = ()

    def dataset(self, name: str) -> type[Dataset]:
        """Return the dataset *name*; case and ``-`` for ``_`` do not matter.

        Raises:
            PluginError: It is unknown, or provided twice.
        """
        return self._find(DATASET, self.datasets, name)

    def all_of(self, kind: Kind) -> Mapping[str, Provided[Any]]:
        """Return all classes of *kind*, by name."""
        found: dict[str, Mapping[str, Provided[Any]]] = {
            DATASET.hook: self.datasets,
            ARCHITECTURE.hook: self.architectures,
            COMPONENT.hook: self.components,
            TRACKER.hook: self.trackers,
            ENGINE.hook: self.engines,
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

    def tracker(self, name: str) -> type[Tracker]:
        """Return the tracker *name*; as :meth:`dataset`."""
        return self._find(TRACKER, self.trackers, name)

    def engine(self, name: str) -> type[Engine]:
        """Return the engine *name*; as :meth:`dataset`."""
        return self._find(ENGINE, self.engines, name)

    def _find(self, kind: Kind, known: Mapping[str, Provided[T]], name: str) -> type[T]:
        normalized = normalize(name)
        if normalized not in known:
            raise self.unknown([kind], name)
        clash = self.clashes.get(kind.hook, {}).get(normalized)
        if clash:
            raise PluginError(
                f"{kind.word} '{normalized}' is provided by {join_words(p.source for p in clash)}",
                self._how_to_choose(clash),
            )
        return known[normalized].cls

    def versions_of(self, names: Iterable[tuple[Kind, str]]) -> tuple[PluginVersion, ...]:
        """Return the plugin version of each of *names* that is not a built-in."""
        provided = [(kind, self.all_of(kind)[name]) for kind, name in names]
        return tuple(
            PluginVersion(kind.word, p.name, p.distribution, p.version)
            for kind, p in provided
            if p.distribution not in {BUILT_IN, UNKNOWN}
        )

    def unknown(self, kinds: Sequence[Kind], name: str) -> PluginError:
        """Return the error for a *name* that nothing of *kinds* has, with the likeliest reason."""
        *most, last = (kind.word for kind in kinds)
        message = f"unknown {', '.join(most)} or {last}" if most else f"unknown {last}"
        message = f"{message} '{name}'"
        culprits = [plugin for plugin in self.broken if plugin.is_called(name)]
        if culprits:
            why = "; ".join(map(str, culprits))
            return PluginError(f"{message}: {why}", "'bigan plugins' lists all plugins")
        off = [plugin for plugin in self.disabled if plugin.is_called(name)]
        if off:
            return PluginError(message, f"{SWITCH} disables {join_words(map(str, off))}")
        for missing in self.plugin_versions:
            if missing.kind in {kind.word for kind in kinds} and missing.name == normalize(name):
                return PluginError(message, self._missing(missing))
        return PluginError(message, "; ".join(self._hints(kinds, name)))

    def _missing(self, missing: PluginVersion) -> str:
        """Return a hint about a plugin that the run was trained with and that is missing now."""
        made = f"this run was trained with {missing.source}"
        for broken in self.broken:
            if broken.distribution == missing.distribution:
                if broken.unnamed:
                    return f"{made}, which is run only if you name it: 'plugins={broken.name}'"
                again = f"; {_ELSEWHERE}" if missing.is_local else ""
                return f"{made}, and now: {broken.reason}{again}"
        for off in self.disabled:
            if off.distribution == missing.distribution:
                return f"{made}, which {SWITCH} disables"
        if missing.is_local:
            return f"{made}; {_ELSEWHERE}"
        for plugin in self.plugins:
            if plugin.distribution == missing.distribution:
                pinned = f"{missing.distribution}=={missing.version}"
                return f"{made}, and {plugin.version} is installed: pip install {pinned}"
        return f"{made}: pip install {missing.distribution}"

    def _hints(self, kinds: Sequence[Kind], name: str) -> Iterator[str]:
        known = [each for kind in kinds for each in self.all_of(kind)]
        listing = kinds[0].listing if len(kinds) == 1 else "bigan plugins"
        near = did_you_mean(name, known)
        if near and len(known) == 1:
            yield near
        else:
            them = f"all {len(known)}" if len(known) > 1 else "what there is"
            lists = f"'{listing}' lists {them}"
            yield f"{near} {lists}" if near else lists
        if self.disabled and not near:
            yield f"{SWITCH} disables {join_words(map(str, self.disabled))}"
        # Files that a run names, besides the one requested here.
        local = [plugin for plugin in self.broken if plugin.is_local]
        if local:
            elsewhere = "" if any(plugin.unnamed for plugin in local) else f"; {_ELSEWHERE}"
            yield f"{'; '.join(map(str, local))}{elsewhere}"
        broken = sum(not plugin.is_local for plugin in self.broken)
        if broken:
            are = "plugin is" if broken == 1 else "plugins are"
            yield f"{broken} {are} broken: see 'bigan plugins'"

    def _how_to_choose(self, clash: Sequence[Provided[Any]]) -> str:
        packages = [provided for provided in clash if not provided.is_local]
        if not packages:
            return f"give the one in {clash[-1].plugin} another name"
        chosen = packages[-1]
        namesakes = {
            p.distribution for p in self.plugins if normalize(p.name) == normalize(chosen.plugin)
        }
        off = chosen.plugin if len(namesakes) == 1 else chosen.distribution
        before = os.environ.get(SWITCH)
        setting = f"{before},-{off}" if before else f"-{off}"
        return f"uninstall one, or switch it off for now: {SWITCH}={setting}"
