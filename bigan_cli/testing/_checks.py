"""Checks of a contract, and how they are run."""

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


class ContractViolation(AssertionError):  # noqa: N818  a finding, not an error of the program
    """A plugin violates its contract; the message is one sentence."""


class NotApplicable(SkipTest):
    """A check does not apply; pytest and unittest report it as a skipped test."""


@dataclass(frozen=True)
class Check:
    """A check of one requirement of a contract.

    Attributes:
        name: An identifier, such as ``labels_are_classes``.
        requirement: One sentence.
        call: Runs the check; returns a remark (what was checked) or an empty string.

    ``call`` raises :class:`ContractViolation` if the requirement is not met, and
    :class:`NotApplicable` if there is nothing to check.
    """

    name: str
    requirement: str
    call: Callable[[], str]


@dataclass(frozen=True)
class Result:
    """The result of one check.

    Attributes:
        name: Name of the check.
        requirement: Requirement of the check.
        status: ``passed``, ``failed`` or ``skipped``.
        detail: What was checked, what is wrong, or why the check does not apply.
    """

    name: str
    requirement: str
    status: Literal["passed", "failed", "skipped"]
    detail: str


def run(checks: Iterable[Check]) -> list[Result]:
    """Run every check, whatever the others return."""
    return [_result(one) for one in checks]


def assert_conforms(checks: Iterable[Check]) -> None:
    """Run every check and raise one error that lists all violations.

    Raises:
        ContractViolation: One line for each check that failed.
    """
    failed = [result for result in run(checks) if result.status == "failed"]
    if failed:
        raise ContractViolation("\n".join(f"{r.name}: {r.detail}" for r in failed))


def _result(one: Check) -> Result:
    try:
        return Result(one.name, one.requirement, "passed", one.call())
    except NotApplicable as reason:
        return Result(one.name, one.requirement, "skipped", str(reason))
    except ContractViolation as violation:
        return Result(one.name, one.requirement, "failed", str(violation))


def check(method: F) -> F:
    """Mark a method of a kit as a check; the first line of its docstring is the requirement."""
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


class cached_fixture(cached_property[T]):  # noqa: N801  used like cached_property
    """A cached property that several checks use.

    If computing it fails, the first check that uses it fails and the others are skipped.
    """

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> T:  # type: ignore[override]
        """Return the value, computed at the first call."""
        failed = vars(instance).setdefault("_failed", {})
        if self.attrname in failed:
            raise NotApplicable(failed[self.attrname])
        try:
            value: T = super().__get__(instance, owner)
        except NotApplicable as reason:
            failed[self.attrname] = str(reason)
            raise
        except Exception:
            failed[self.attrname] = "it depends on a check that failed"
            raise
        return value


def require(condition: bool, sentence: str) -> None:
    """Raise :class:`ContractViolation` with *sentence* unless *condition*."""
    if not condition:
        raise ContractViolation(sentence)


def shorten(words: Iterable[object], most: int = 3) -> str:
    """Return the first of *words* as ``"a, b, c and 4 more"``."""
    shown = [str(word) for word in words]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
