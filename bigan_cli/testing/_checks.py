"""What a check is, and how checks are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, TypeVar
from unittest import SkipTest

from bigan_cli.plugins.checks import format_error

_MARK = "_bigan_check"

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class ContractViolation(AssertionError):  # noqa: N818  it says what was found
    """A contract is broken; the message is a sentence that says how."""


class NotApplicable(SkipTest):
    """There is nothing to check here, and why; pytest and unittest take it as a skipped test."""


@dataclass(frozen=True)
class Check:
    """One thing that a contract promises.

    Attributes:
        name: An identifier, as ``labels_are_classes``.
        promise: The promise in one sentence.
        call: Looks whether it is kept; returns a remark (what was looked at) or an empty string.

    Calling ``call`` raises :class:`ContractViolation` where the promise is broken and
    :class:`NotApplicable` where there is nothing to look at.
    """

    name: str
    promise: str
    call: Callable[[], str]


@dataclass(frozen=True)
class Result:
    """What became of one check.

    Attributes:
        name: Of the check.
        promise: Of the check.
        status: ``holds``, ``broken`` or ``skipped``.
        detail: What was looked at, what is wrong, or why there was nothing to look at.
    """

    name: str
    promise: str
    status: Literal["holds", "broken", "skipped"]
    detail: str


def run(checks: Iterable[Check]) -> list[Result]:
    """Run every check; none keeps the next from running."""
    return [_result(check) for check in checks]


def assert_conforms(checks: Iterable[Check]) -> None:
    """Run every check and raise one error that tells all that is broken.

    Raises:
        AssertionError: With one line for each broken promise.
    """
    broken = [result for result in run(checks) if result.status == "broken"]
    if broken:
        raise ContractViolation("\n".join(f"{r.name}: {r.detail}" for r in broken))


def _result(check: Check) -> Result:
    try:
        return Result(check.name, check.promise, "holds", check.call())
    except NotApplicable as reason:
        return Result(check.name, check.promise, "skipped", str(reason))
    except ContractViolation as violation:
        return Result(check.name, check.promise, "broken", str(violation))


def promise(method: F) -> F:
    """Mark a method of a kit as a check; the first line of its docstring is the promise."""
    setattr(method, _MARK, True)
    return method


def marked_checks(kit: object) -> list[Check]:
    """Return the checks of *kit*: its marked methods, base classes first, in order."""
    names: dict[str, None] = {}
    for cls in reversed(type(kit).__mro__):
        names |= {n: None for n, value in vars(cls).items() if hasattr(value, _MARK)}
    return [
        Check(name, _sentence(getattr(kit, name)), partial(_guarded, getattr(kit, name)))
        for name in names
    ]


def _guarded(method: Callable[[], str | None]) -> str:
    """Call a check; any exception of the plugin's code is a violation."""
    try:
        return method() or ""
    except (ContractViolation, NotApplicable, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        raise ContractViolation(format_error(error)) from error


def _sentence(method: Any) -> str:
    return str(method.__doc__).strip().splitlines()[0].rstrip(".")


class prepared(cached_property[T]):  # noqa: N801  it is used as cached_property is
    """A cached property that several checks start from.

    Where making it fails, the first check that asks for it tells why; to the others there is
    nothing to look at.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> T:  # type: ignore[override]
        """Return the value, made at the first call."""
        failed = vars(instance).setdefault("_failed", {})
        if self.attrname in failed:
            raise NotApplicable(failed[self.attrname])
        try:
            value: T = super().__get__(instance, owner)
        except NotApplicable as reason:
            failed[self.attrname] = str(reason)
            raise
        except Exception:
            failed[self.attrname] = "it needs what is broken above"
            raise
        return value


def require(kept: bool, sentence: str) -> None:
    """Raise :class:`ContractViolation` with *sentence* unless *kept*."""
    if not kept:
        raise ContractViolation(sentence)


def few(words: Iterable[object], most: int = 3) -> str:
    """Return the first of *words* as ``"a, b, c and 4 more"``."""
    shown = [str(word) for word in words]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
