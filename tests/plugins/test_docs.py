"""docs/contracts.md and docs/plugins.md are complete."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from bigan_cli import contracts, hookspecs, testing
from bigan_cli.plugins.registry import KINDS

ROOT = Path(__file__).parents[2]
PAGE = "".join(
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("contracts.md", "plugins.md")
)
INLINE = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))


def public(cls):
    """Return the names that a contract class defines or annotates itself."""
    own = {**vars(cls), **vars(cls).get("__annotations__", {})}
    return {name for name in own if not name.startswith("_") and name != "model_config"}


def test_every_hook_is_explained_with_its_arguments():
    for kind in KINDS:
        arguments = inspect.signature(getattr(hookspecs, kind.hook)).parameters
        assert f"`{kind.hook}({', '.join(arguments)})`" in PAGE
    assert f"bigan_api = {hookspecs.API_VERSION}" in PAGE


@pytest.mark.parametrize(
    "cls",
    [
        cls
        for _, cls in inspect.getmembers(contracts, inspect.isclass)
        if cls.__module__.startswith(contracts.__name__)
    ],
    ids=lambda cls: cls.__name__,
)
def test_every_attribute_and_method_of_a_contract_is_explained(cls):
    assert cls.__name__ in INLINE
    assert public(cls) - INLINE == set()


def test_methods_are_shown_with_their_arguments():
    for cls in (
        contracts.Dataset,
        contracts.Architecture,
        contracts.ScoreComponent,
        contracts.Tracker,
        contracts.Engine,
    ):
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            if name in vars(cls) and not name.startswith("_"):
                arguments = [a for a in inspect.signature(method).parameters if a != "self"]
                assert f"`{name}({', '.join(arguments)})`" in PAGE, f"{cls.__name__}.{name}"


def test_all_of_the_kit_is_explained():
    assert set(testing.__all__) - INLINE == set()
