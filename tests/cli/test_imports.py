"""What a command may import: the program must answer at once where nothing heavy is asked.

Modules are counted and not seconds, which differ from machine to machine and minute to minute;
``benchmarks/startup.py`` measures those.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "matplotlib", "sklearn", "scipy", "PIL", "imageio", "safetensors"}
NOT_FOR_HELP = HEAVY | {"numpy", "pydantic", "rich", "pluggy"}
OURS = "bigan_cli."

PROGRAM = """
import json, os, sys
import typer
before = set(sys.modules)
from bigan_cli.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as stop:  # completion ends so
    code = stop.code or 0
print("\\n" + json.dumps([code, sorted(set(sys.modules) - before)]))
"""


def imported(*words: str, **environment: str) -> set[str]:
    """Return the modules that a command line imports beyond those of typer itself."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        check=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def commands(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith(f"{OURS}cli.commands.")}


def completing(line: str) -> dict[str, str]:
    words = line.split(" ")
    return {
        "_BIGAN_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }


def test_help_imports_no_command():
    modules = imported("--help")
    assert packages(modules) & NOT_FOR_HELP == set()
    assert commands(modules) == set()
    # Ours, and a few small ones that typer shows help with.
    assert len(modules) < 20, sorted(modules)


@pytest.mark.parametrize(
    "name",
    [
        "train",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                *("animate", "evaluate", "benchmark", "score", "reconstruct", "report"),
                *("config", "plugins", "env"),
            )
        ),
    ],
)
def test_help_of_a_command_imports_that_command(name):
    modules = imported(name, "--help")
    assert packages(modules) & NOT_FOR_HELP == set()
    assert commands(modules) == {f"{OURS}cli.commands.{name}"}
    assert len(modules) < 25, sorted(modules)


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("bigan tr", {"train"}),
        ("bigan train --epochs 3 --lat", {"train"}),
        ("bigan benchmark --base", {"benchmark"}),
        ("bigan comp", {"compare", "components"}),
        ("bigan components --pl", {"components"}),
    ],
)
def test_completion_imports_what_it_completes(line, needed):
    modules = imported(**completing(line))
    assert packages(modules) & NOT_FOR_HELP == set()
    ours = {f"{OURS}cli.commands.{name}" for name in needed}
    assert commands(modules) == ours


def test_plugins_imports_no_pydantic_if_none_is_installed():
    modules = imported("plugins", BIGAN_PLUGINS="")
    assert packages(modules) & (HEAVY | {"numpy", "rich", "pydantic", "pluggy"}) == set()
    assert not any(name.startswith(f"{OURS}contracts") for name in modules)


@pytest.mark.parametrize(
    "words",
    [
        ["datasets"],
        *(
            pytest.param(words, marks=pytest.mark.slow)
            for words in (["architectures", "dcgan"], ["components"], ["plugins", "--json"])
        ),
    ],
)
def test_listings_import_neither_torch_nor_numpy(words):
    modules = imported(*words, BIGAN_PLUGINS="")  # third-party plugins may import anything
    assert packages(modules) & (HEAVY | {"numpy", "rich"}) == set()
