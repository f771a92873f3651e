"""What a command may import: the program must answer at once where nothing heavy is asked."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "torchvision", "matplotlib", "sklearn", "scipy", "PIL", "imageio", "safetensors"}
NOT_FOR_HELP = HEAVY | {"numpy", "pydantic", "rich", "pluggy"}

PROGRAM = """
import json, sys
from bigan_cli.main import main
code = main(sys.argv[1:])
print("\\n" + json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def run_and_list_imports(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, check=True, timeout=60
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def test_help_imports_nothing_heavy():
    assert run_and_list_imports("--help") & NOT_FOR_HELP == set()


def test_help_of_a_command_imports_nothing_heavy():
    # Typer itself checks the values of options with pydantic.
    assert run_and_list_imports("train", "--help") & NOT_FOR_HELP <= {"pydantic"}


@pytest.mark.parametrize("words", [["datasets"], ["architectures", "dcgan"], ["plugins", "--json"]])
def test_listings_import_no_torch(words):
    assert run_and_list_imports(*words) & HEAVY == set()


def test_help_is_quick():
    commands = {
        "typer": [sys.executable, "-c", "import typer"],
        "help": [sys.executable, "-m", "bigan_cli", "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(9):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - started)
    # In turn, and the middle one of several, so that a busy machine slows both alike.
    ratio = statistics.median(seconds["help"]) / statistics.median(seconds["typer"])
    assert ratio < 2
