"""docs/plugins.md is complete, and what it shows works: its files are written, its commands run."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bigan_cli import contracts, hookspecs, testing
from bigan_cli.plugins.registry import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|toml|sh)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
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
    for cls in (contracts.Dataset, contracts.Architecture, contracts.ScoreComponent):
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            if name in vars(cls) and not name.startswith("_"):
                arguments = [a for a in inspect.signature(method).parameters if a != "self"]
                assert f"`{name}({', '.join(arguments)})`" in PAGE, f"{cls.__name__}.{name}"


def test_all_of_the_kit_is_explained():
    assert set(testing.__all__) - INLINE == set()


@pytest.mark.slow
def test_the_page_works_from_its_first_block_to_its_last(site, tmp_path, monkeypatch, bigan):
    """Its files are written and its commands run, in order, in one folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    ran = 0
    for language, text in BLOCKS:
        if language != "sh":
            name = re.match(r"# (\S+)\n", text)[1]
            Path(name).write_text(text, encoding="utf-8")
            continue
        for line in text.splitlines():
            program, *words = shlex.split(line, comments=True)
            if program == "bigan":
                outcome = bigan(*words)
                assert outcome.code == 0, f"{line}\n{outcome.out}\n{outcome.err}"
            else:
                run(program, words, site)
            ran += 1
    assert ran >= 15
    assert Path("toads-run/models/best.safetensors").is_file()


def run(program, words, site):
    """Run a line of the page that is not of bigan itself; what it installs goes to *site*."""
    commands = {
        "python": [],
        "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider"],
        "pip": ["-m", "pip"],
    }
    if program == "pip":
        offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        words = [words[0], *offline, "--target", str(site), *words[1:]]
    done = subprocess.run(
        [sys.executable, *commands[program], *words],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{program} {words}\n{done.stdout}\n{done.stderr}"
