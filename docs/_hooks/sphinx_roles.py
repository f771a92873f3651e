"""Griffe extension: roles in docstrings, such as ``:class:`Detector```, become code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")


class SphinxRoles(griffe.Extension):
    """Rewrites the docstring of every object when it has been read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the roles."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
