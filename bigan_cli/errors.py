"""The errors of bigan and their exit codes.

The tree::

    BiganError                    1   the run failed; the base of everything below
    ├── DataError                 1   unreadable data, too few of them, nothing to work on
    ├── TrainingError             1   training diverged or ran out of memory
    ├── ProcessEndedError         1   another process of the same training has ended
    ├── InputTypeError            2   an argument has an unsupported type
    ├── UsageError                2   an option or a combination is invalid, a path does not exist
    │   ├── ConfigError           2   one or more invalid keys or values, all listed
    │   ├── DeviceError           2   the requested device does not exist
    │   ├── PluginError           2   a plugin that is needed is broken, missing or ambiguous
    │   └── RunDirectoryError     2   no run, or an unexpected one
    ├── GateFailed                3   an opt-in check failed (``--fail-on-anomaly``)
    └── SomeInputsSkipped         4   finished, but some inputs could not be read

They are built-in errors as well: ``DataError`` and ``UsageError`` are a ``ValueError``,
``TrainingError`` is a ``RuntimeError`` and ``InputTypeError`` a ``TypeError``. All can be pickled.

An interrupted command exits with 130. Any other exception is a defect of the program and is
reported as such, with its traceback under ``--debug``.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

INTERRUPTED = 130


def first_line(error: BaseException) -> str:
    """Return the first line of the message of *error*, or an empty string."""
    return next(iter(str(error).strip().splitlines()), "")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether *error* means that the machine or the device ran out of memory.

    torch has a separate exception for CUDA only; on a CPU and on Metal the message shows it.
    """
    if isinstance(error, ImportError):  # of a shared library of torch, under a memory limit
        text = str(error).lower()
        return "cannot allocate memory" in text or "failed to map segment" in text
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


class BiganError(Exception):
    """An expected failure, with one line that says what is wrong and one with a hint.

    Args:
        message: What is wrong, and where; without a full stop.
        hint: What to do about it; empty if that is obvious.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # a traceback ends with it

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, unpickling calls the constructor with ``args``, which are not its parameters.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[BiganError], args: tuple[Any, ...], state: dict[str, Any]) -> BiganError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class DataError(BiganError, ValueError):
    """Data are unreadable, too few, or no longer where they were."""


class TrainingError(BiganError, RuntimeError):
    """Training diverged (NaN or infinity) or the machine ran out of memory."""


class ProcessEndedError(BiganError):
    """Another process of a training on several processes has ended."""


class InputTypeError(BiganError, TypeError):
    """An argument has an unsupported type."""

    exit_code = 2


class UsageError(BiganError, ValueError):
    """An option or a combination of them is invalid, or a path does not exist.

    Nothing was written.
    """

    exit_code = 2


class ConfigError(UsageError):
    """One or more invalid keys or values in a configuration.

    Args:
        problems: One ``(message, hint)`` for each; all are shown.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        message, hint = problems[0]
        super().__init__(message, hint)
        self.problems = tuple(problems)


class DeviceError(UsageError):
    """The requested device does not exist on this machine."""


class PluginError(UsageError):
    """A plugin that this command needs is broken, unknown, or provided twice."""


class RunDirectoryError(UsageError):
    """A run directory is missing, has another run, or does not suit the request."""


class GateFailed(BiganError):
    """A check that the user requested failed."""

    exit_code = 3


class SomeInputsSkipped(BiganError):
    """The work is done, but some inputs were unreadable and were skipped."""

    exit_code = 4


def did_you_mean(wrong: str, known: Sequence[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the nearest of *known*, or an empty string."""
    near = nearest(wrong, known)
    return "" if near is None else f"did you mean '{near}'?"


def nearest(wrong: str, known: Sequence[str]) -> str | None:
    """Return the nearest of *known* to *wrong*; None if none is similar.

    ``-`` and ``_`` count as the same character, and case does not matter.
    """
    folded = {name.lower().replace("-", "_"): name for name in known}
    near = get_close_matches(wrong.lower().replace("-", "_"), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None
