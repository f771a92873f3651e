"""What the tests of every area share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bigan_cli.cli.main import main

# Small networks, and other work on the same machine: one thread is the fastest here. Processes
# that the tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines differ in speed; a slow example is not a wrong one.
settings.register_profile("bigan", deadline=None)
settings.load_profile("bigan")


@dataclass(frozen=True)
class Outcome:
    """What one command line gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(autouse=True)
def _own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the settings and the caches of whoever runs the tests out of them."""
    for name in (*os.environ, "NO_COLOR", "FORCE_COLOR", "TERM"):
        if name in ("NO_COLOR", "FORCE_COLOR", "TERM", "GITHUB_ACTIONS") or (
            name.startswith("BIGAN_") and name != "BIGAN_DATA_DIR"
        ):
            monkeypatch.delenv(name, raising=False)
    # One for all tests, so that what one has decoded the next need not.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def bigan(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process: ``bigan("datasets", "--json")``."""

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def bigan_process() -> Callable[..., Outcome]:
    """Run a command line in a process of its own; keywords are added to its environment."""

    def run(*words: object, stdin: str = "", **environment: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "bigan_cli", *map(str, words)],
            input=stdin,
            capture_output=True,
            check=False,
            encoding="utf-8",
            env={**os.environ, **environment},
            timeout=150,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def rewrite_model() -> Callable[..., None]:
    """Change a model file and give it a valid checksum: ``rewrite_model(path, change)``.

    *change* gets the header and the tensors, and changes them in place.
    """
    from safetensors.torch import load, save

    from bigan_cli.storage.checksum import UNKNOWN, insert_checksum
    from bigan_cli.storage.model_header import FORMAT

    def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][FORMAT])
        tensors = load(data)
        change(header, tensors)
        text = json.dumps(header | {"sha256": UNKNOWN})
        path.write_bytes(insert_checksum(save(tensors, metadata={FORMAT: text})))

    return rewrite


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data sets, as ``BIGAN_DATA_DIR`` names it, or skip."""
    folder = os.environ.get("BIGAN_DATA_DIR")
    if not folder:
        pytest.skip("BIGAN_DATA_DIR does not name a folder with the real data sets")
    return Path(folder)
