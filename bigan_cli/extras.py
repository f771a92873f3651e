"""Packages that only some commands need, which an extra of bigan installs."""

from __future__ import annotations

from importlib.util import find_spec

from bigan_cli.errors import UsageError


def require_extra(extra: str, *modules: str, otherwise: str = "") -> None:
    """Raise an error if a module of the extra *extra* is not installed.

    Args:
        extra: Its name, as in ``bigan-cli[serve]``.
        modules: The modules that are needed.
        otherwise: What can be done without it.

    Raises:
        UsageError: The message names the extra.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        hint = f"pip install 'bigan-cli[{extra}]'"
        raise UsageError(
            f"{', '.join(missing)} is not installed",
            f"{hint}, or {otherwise}" if otherwise else hint,
        )
