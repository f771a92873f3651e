"""Loads a plugin's classes: imports and registers it, calls its hooks, checks what they return.

All of it is third-party code, so every failure becomes a :class:`PluginRejected` with the reason.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pluggy
from pydantic import ValidationError

from bigan_cli import __version__, hookspecs
from bigan_cli.contracts import Architecture, Dataset, ImageShape, Options, ScoreComponent
from bigan_cli.plugins.names import join_words
from bigan_cli.plugins.registry import KINDS, Kind
from bigan_cli.plugins.sources import Candidate, PluginRejected

_PREFIX = "bigan_"
_LONGEST = 80
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
# Files that import and call plugins: never the place where one went wrong.
_MACHINERY = tuple(str(Path(str(m.__file__)).parent) for m in (importlib, pluggy))
_OURS = (__file__, str(Path(__file__).with_name("sources.py")))


def load_classes(candidate: Candidate) -> dict[str, list[type[Any]]]:
    """Import a plugin, register it with a separate manager, call its hooks and check the results.

    Separate managers keep plugins apart, and nothing is left of one that fails halfway.

    Raises:
        PluginRejected: The plugin cannot be used.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        # What a plugin prints must not mix with our results.
        with redirect_stdout(sys.stderr):
            plugin = candidate.load()
            _check_version(plugin)
            _check_arguments(manager, plugin)
            manager.register(plugin, candidate.name)
            _check_hooks(manager, plugin)
            return {
                kind.hook: _call(manager, kind)
                for kind in KINDS
                if getattr(manager.hook, kind.hook).get_hookimpls()
            }
    except (PluginRejected, KeyboardInterrupt):
        raise
    except pluggy.PluginValidationError as error:
        raise PluginRejected(" ".join(str(error).split())) from error
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        raise PluginRejected(format_error(error)) from error


def _check_version(plugin: Any) -> None:
    version = getattr(plugin, "bigan_api", hookspecs.API_VERSION)
    if version != hookspecs.API_VERSION:
        raise PluginRejected(
            f"it is made for version {version} of the plugin interface, and bigan {__version__} "
            f"has version {hookspecs.API_VERSION}; upgrade the older of the two"
        )


def _check_arguments(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Refuse a hook that has parameters, with a clearer message than pluggy's."""
    for kind in KINDS:
        if manager.parse_hookimpl_opts(plugin, kind.hook) is None:
            continue
        wanted = [
            name
            for name, parameter in inspect.signature(getattr(plugin, kind.hook)).parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if wanted:
            raise PluginRejected(
                f"{kind.hook} takes no arguments; yours takes ({', '.join(wanted)})"
            )


def _check_hooks(manager: pluggy.PluginManager, plugin: Any) -> None:
    hooks = [kind.hook for kind in KINDS]
    callers = manager.get_hookcallers(plugin) or []
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        wrong = next(caller.name for caller in callers if not caller.has_spec())
        # What all hooks begin with says nothing about which one was meant.
        stem = wrong.removeprefix(_PREFIX)
        near = get_close_matches(stem, [hook.removeprefix(_PREFIX) for hook in hooks], n=1)
        hint = f"did you mean '{_PREFIX}{near[0]}'?" if near else f"there are {', '.join(hooks)}"
        raise PluginRejected(f"there is no hook '{wrong}'; {hint}") from error
    if not callers:
        unmarked = [hook for hook in hooks if callable(getattr(plugin, hook, None))]
        raise PluginRejected(
            f"{unmarked[0]} is not marked with @hookimpl"
            if unmarked
            else f"it implements no hook; there are {', '.join(hooks)}"
        )


def _call(manager: pluggy.PluginManager, kind: Kind) -> list[type[Any]]:
    answers = getattr(manager.hook, kind.hook)()
    if not answers or not isinstance(answers[0], list | tuple):
        given = describe_value(answers[0]) if answers else "None"
        raise PluginRejected(f"{kind.hook} must return a list of classes, and it returned {given}")
    names: set[str] = set()
    for cls in answers[0]:
        check_class(cls, kind)
        if cls.name in names:
            raise PluginRejected(f"{kind.hook} returned two classes named '{cls.name}'")
        names.add(cls.name)
    return list(answers[0])


def check_class(cls: Any, kind: Kind) -> None:
    """Check that what a hook returned is a class that can be listed and configured.

    Raises:
        PluginRejected: The plugin cannot be used.
    """
    if not isinstance(cls, type):
        own = isinstance(cls, kind.base)
        hint = ": return the class" if own else ""
        raise PluginRejected(
            f"{kind.hook} must return classes, and it returned {describe_value(cls)}{hint}"
        )
    if not issubclass(cls, kind.base):
        raise PluginRejected(
            f"{cls.__name__} is not a subclass of bigan_cli.contracts.{kind.base.__name__}"
        )
    if inspect.isabstract(cls):
        missing = join_words(sorted(getattr(cls, "__abstractmethods__", ())))
        raise PluginRejected(f"{cls.__name__} does not define {missing}")
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginRejected(
            f"{cls.__name__}.name must be lower-case letters, digits and '_', and it is {name!r}"
        )
    summary = getattr(cls, "summary", None)
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        raise PluginRejected(
            f"{cls.__name__}.summary must be one line of text, and it is {summary!r}"
        )
    _check_options(cls)
    if issubclass(cls, Dataset):
        _check_dataset(cls)
    if issubclass(cls, Architecture):
        _check_attributes(cls, {"preset": _preset_check(cls.preset, "model", "architecture")})
    if issubclass(cls, ScoreComponent):
        _check_component(cls)


def _check_options(cls: Any) -> None:
    options = cls.Options
    if not (isinstance(options, type) and issubclass(options, Options)):
        raise PluginRejected(
            f"{cls.__name__}.Options must be a subclass of bigan_cli.contracts.Options, "
            f"and it is {options!r}"
        )
    if any(f.is_required() for f in options.model_fields.values()):
        return
    try:
        # Defaults are written into the saved configuration, and read from there again.
        saved = options().model_dump_json(by_alias=True, warnings=False)
        options.model_validate_json(saved)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'all of them'}: {e['msg']}, "
            f"got {describe_value(e['input'])}"
            for e in error.errors()
        )
        raise PluginRejected(
            f"the defaults of {cls.__name__}.Options are not valid: {wrong}"
        ) from error
    if any(_holds_none(value) for value in json.loads(saved).values() if value is not None):
        raise PluginRejected(f"a default of {cls.__name__}.Options holds None, which TOML cannot")


def describe_value(value: Any) -> str:
    """Return a short form of *value*, in one line and without its memory address."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text = " ".join(repr(value).split())
    if " at 0x" in text:
        return f"an instance of {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _holds_none(value: Any) -> bool:
    if isinstance(value, list):
        return any(item is None or _holds_none(item) for item in value)
    return isinstance(value, dict) and any(map(_holds_none, value.values()))


def _check_dataset(cls: type[Dataset]) -> None:
    # Any: the types declared in the contract are what is checked here.
    shape: Any = cls.image_shape
    names: Any = cls.class_names
    preset: Any = cls.preset
    checks: dict[str, tuple[bool, str]] = {
        "image_shape": (
            shape is None or isinstance(shape, ImageShape),
            "an ImageShape or None",
        ),
        "class_names": (
            names is None or (isinstance(names, tuple) and all(isinstance(n, str) for n in names)),
            "a tuple of strings or None",
        ),
        "preset": _preset_check(preset, "data", "dataset"),
    }
    _check_attributes(cls, checks)


def _preset_check(preset: Any, table: str, key: str) -> tuple[bool, str]:
    """Return whether *preset* has tables, not with the name itself, and what is wanted."""
    tables = isinstance(preset, Mapping) and all(isinstance(t, Mapping) for t in preset.values())
    good = tables and key not in preset.get(table, {})
    return good, f"tables of a config file, without {table}.{key}"


def _check_attributes(cls: type[Any], checks: Mapping[str, tuple[bool, str]]) -> None:
    for attribute, (good, wanted) in checks.items():
        if not good:
            given = getattr(cls, attribute)
            raise PluginRejected(
                f"{cls.__name__}.{attribute} must be {wanted}, and it is {given!r}"
            )


def _check_component(cls: type[ScoreComponent]) -> None:
    weight: Any = cls.weight
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 <= weight < math.inf:
        raise PluginRejected(
            f"{cls.__name__}.weight must be a number of 0 or more, and it is {weight!r}"
        )


def format_error(error: BaseException) -> str:
    """Return type, message and place of an exception, in one line."""
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        text, place = error.msg, f"{error.filename}:{error.lineno}"
    else:
        text = " ".join(str(error).split())
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith(("<frozen", *_MACHINERY))
            and frame.filename not in _OURS
        ]
        if frames:
            place = f"{frames[-1].filename}:{frames[-1].lineno}"
    return f"{type(error).__name__}{': ' if text else ''}{text}{f' ({place})' if place else ''}"
