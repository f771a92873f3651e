"""Reports what a plugin does wrong while it runs as the plugin's fault, with its name and version.

Only what happens in a plugin's own code is reported so: a defect of bigan stays one.
"""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import bigan_cli
from bigan_cli.contracts import Architecture, Dataset, Engine, ScoreComponent, Tracker
from bigan_cli.errors import BiganError, PluginError, is_out_of_memory
from bigan_cli.plugins.checks import describe_value
from bigan_cli.plugins.registry import BUILT_IN, KINDS, Kind

_BIGAN = str(Path(bigan_cli.__file__).parent)
_CONTEXT_MANAGERS = str(contextlib.__file__)

Instance: TypeAlias = Dataset | Architecture | ScoreComponent | Tracker | Engine


def kind_of(cls: type[Instance]) -> Kind:
    """Return the kind of a plugin class."""
    return next(kind for kind in KINDS if issubclass(cls, kind.base))


def describe(plugin: Instance) -> str:
    """Return kind, name and provider of a plugin: ``dataset 'frogs' (bigan-frogs 1.2)``."""
    provider = f" ({plugin.provided_by})" if plugin.provided_by else ""
    return f"{kind_of(type(plugin)).word} '{plugin.name}'{provider}"


def plugin_fault(plugin: Instance, what: str) -> PluginError:
    """Return the error that says what *plugin* does wrong.

    Args:
        plugin: The instance.
        what: What it does, as ``score() returned None, not a tensor``.
    """
    return PluginError(f"{describe(plugin)} does not keep its contract: {what}", _hint(plugin))


@contextmanager
def plugin_faults(plugin: Instance, calling: str, *, own_code: bool = False) -> Iterator[None]:
    """Turn what *plugin*'s own code raises into a :class:`PluginError` that names the plugin.

    Errors of bigan, files that cannot be opened and memory that ran out pass unchanged.

    Args:
        plugin: The instance.
        calling: What is called, as ``score()``.
        own_code: Whether nothing but the plugin's own modules is to be held responsible, since
            bigan itself calls other packages meanwhile.

    Raises:
        PluginError: The plugin's code raised something.
    """
    try:
        yield
    except BiganError:
        raise
    except (Exception, SystemExit) as error:  # sys.exit() would end the command without a word
        if is_out_of_memory(error) or (isinstance(error, OSError) and error.strerror):
            raise
        place = _place_in(type(plugin), error, own_code=own_code)
        if not place or plugin.provided_by.startswith(f"{BUILT_IN} "):
            raise
        text = " ".join(str(error).split())
        raise PluginError(
            f"{describe(plugin)} failed in {calling}: "
            f"{type(error).__name__}{': ' if text else ''}{text} ({place})",
            _hint(plugin),
        ) from error


def returned(value: object) -> str:
    """Return a short description of what a plugin returned instead of what it should."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return describe_value(value)
    kind = type(value).__name__
    kind = "a numpy array" if kind == "ndarray" else "a tensor" if kind == "Tensor" else kind
    sides = ", ".join(map(str, shape))
    return f"{kind} of {str(dtype).removeprefix('torch.')} [{sides}]"


def _hint(plugin: Instance) -> str:
    return f"'bigan plugins check {plugin.name}' tests all that the contract asks for"


def _place_in(cls: type[Instance], error: BaseException, *, own_code: bool) -> str:
    """Return ``FILE:LINE`` where the plugin failed; empty where it was not the plugin's code."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_BIGAN, _CONTEXT_MANAGERS))
    ]
    # Rather than a line of torch, the plugin's line that called it.
    own = [frame for frame in frames if _is_of(cls, Path(frame.filename))]
    chosen = own if own or own_code else frames
    return f"{chosen[-1].filename}:{chosen[-1].lineno}" if chosen else ""


def _is_of(cls: type[Instance], path: Path) -> bool:
    """Return whether *path* is a module of the plugin that *cls* is from."""
    try:
        file = Path(inspect.getfile(cls))
    except (OSError, TypeError):  # written at a prompt
        return False
    depth = cls.__module__.count(".")
    if depth or file.name == "__init__.py":  # in a package
        return file.parents[max(depth - 1, 0)] in path.parents
    # bigan_frogs.py, and bigan_frogs_networks.py next to it
    return path.parent == file.parent and path.stem.startswith(file.stem)
