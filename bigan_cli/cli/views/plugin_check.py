"""``bigan plugins check``: runs the conformance kit on plugin classes and reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bigan_cli.atomic import expanded
from bigan_cli.cli.terminal import Terminal
from bigan_cli.config.load import load_config
from bigan_cli.errors import GateFailed, UsageError
from bigan_cli.formatting import count
from bigan_cli.plugins import Provided, Registry, load_registry
from bigan_cli.plugins.names import join_words, normalize
from bigan_cli.plugins.registry import ARCHITECTURE, DATASET, ENGINE, KINDS, TRACKER, Kind
from bigan_cli.plugins.scaffold import kind_named
from bigan_cli.plugins.sources import absolute
from bigan_cli.testing import (
    Check,
    Result,
    architecture_checks,
    dataset_checks,
    run,
    score_component_checks,
    tracker_checks,
)

_CHECKED = tuple(kind for kind in KINDS if kind is not ENGINE)


@dataclass(frozen=True)
class Request:
    """The arguments of ``bigan plugins check``."""

    name: str | None
    kind: str | None
    files: Sequence[Path]
    sets: Sequence[str]
    data_root: Path | None
    download: bool
    as_json: bool


@dataclass(frozen=True)
class Target:
    """One class to check."""

    kind: Kind
    provided: Provided[Any]

    @property
    def title(self) -> str:
        """Its kind and name, as ``"dataset frogs"``."""
        return f"{self.kind.word} {self.provided.name}"


def check_plugins(terminal: Terminal, request: Request) -> None:
    """Run every check of the named classes and print the results.

    Raises:
        PluginError: There is no such class, or several plugins provide it.
        ConfigError: An option given with ``--set`` is invalid.
        GateFailed: A check failed.
    """
    registry = load_registry(request.files)
    targets = list(_targets(registry, request))
    plans = [(target, _checks(target, request)) for target in targets]
    found: list[tuple[Target, Result]] = []
    with terminal.progress() as bar:
        task = bar.add_task("checking", total=sum(len(checks) for _, checks in plans))
        for target, checks in plans:
            for check in checks:
                found += [(target, result) for result in run([check])]
                bar.advance(task)
    _report(terminal, found, as_json=request.as_json)
    failed = [(target, result) for target, result in found if result.status == "failed"]
    if failed:
        whose = join_words(dict.fromkeys(target.title for target, _ in failed))
        raise GateFailed(
            f"{whose}: {len(failed)} of {count(len(found), 'check')} failed",
            "docs/contracts.md describes the contract",
        )


def _targets(registry: Registry, request: Request) -> Iterator[Target]:
    kinds = _CHECKED if request.kind is None else (kind_named(request.kind),)
    if request.name is None:
        yield from _of_files(registry, request, kinds)
        return
    name = normalize(request.name)
    having = [kind for kind in kinds if name in registry.all_of(kind)]
    if not having and name in registry.engines:
        raise UsageError(f"'{name}' is an engine, and engines have no checks")
    if not having:
        raise registry.unknown(kinds, request.name)
    for kind in having:
        registry.find(kind, name)  # refuses what is provided twice
        yield Target(kind, registry.all_of(kind)[name])


def _of_files(registry: Registry, request: Request, kinds: Sequence[Kind]) -> Iterator[Target]:
    if not request.files:
        raise UsageError(
            "nothing to check",
            "name a dataset, architecture, score component or tracker, or a file with --plugin",
        )
    files = {absolute(path) for path in request.files}
    for kind in kinds:
        for provided in registry.all_of(kind).values():
            if not provided.version and absolute(Path(provided.plugin)) in files:
                registry.find(kind, provided.name)
                yield Target(kind, provided)


def _checks(target: Target, request: Request) -> list[Check]:
    cls = target.provided.cls
    options = _options(target, request)
    if target.kind is DATASET:
        root = request.data_root and expanded(request.data_root)
        return dataset_checks(cls, options, root, download=request.download)
    if target.kind is ARCHITECTURE:
        return architecture_checks(cls, options)
    if target.kind is TRACKER:
        return tracker_checks(cls, options)
    return score_component_checks(cls, options)


def _options(target: Target, request: Request) -> Mapping[str, Any] | None:
    """Return the validated options given with ``--set``."""
    if not request.sets:
        return None
    name = target.provided.name
    flags: dict[str, Any] = {"plugins": list(request.files) or None}
    sets = list(request.sets)
    if target.kind is DATASET:
        flags["data.dataset"] = name
    elif target.kind is ARCHITECTURE:
        flags["model.architecture"] = name
    elif target.kind is TRACKER:
        flags["output.trackers"] = [name]
    else:
        sets.append(f'score.components=["{name}"]')
    config = load_config(sets=sets, settings=flags).config
    if target.kind is DATASET:
        return config.data.options
    if target.kind is ARCHITECTURE:
        return config.model.options
    if target.kind is TRACKER:
        return config.output.tracker_options.get(name)
    return config.score.options.get(name)


def _report(terminal: Terminal, found: Sequence[tuple[Target, Result]], *, as_json: bool) -> None:
    if as_json:
        statuses = [result.status for _, result in found]
        terminal.json(
            {
                "checks": [
                    {"kind": t.kind.word, "of": t.provided.name, **asdict(result)}
                    for t, result in found
                ],
                **{status: statuses.count(status) for status in ("passed", "failed", "skipped")},
            }
        )
        return
    if not terminal.stdout_is_terminal:
        terminal.table(
            ("of", "requirement", "status", "detail"),
            ((t.title, result.requirement, result.status, result.detail) for t, result in found),
        )
        return
    for title in dict.fromkeys(target.title for target, _ in found):
        _show(terminal, title, [result for target, result in found if target.title == title])


def _show(terminal: Terminal, title: str, results: Sequence[Result]) -> None:
    """Print what failed or was skipped, and the counts; with ``--verbose`` every check."""
    rows = [
        (result.status, result.requirement, result.detail)
        for result in results
        if terminal.verbose or result.status != "passed"
    ]
    if rows:
        terminal.table(("status", "requirement", "detail"), rows)
    statuses = [result.status for result in results]
    numbers = [f"{statuses.count(each)} {each}" for each in ("passed", "failed", "skipped")]
    terminal.result(f"{title}: {', '.join(numbers)}")
