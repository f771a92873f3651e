"""A small part of every sweep of faults finds none; thousands of cases are run by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults"
CASES = {
    "images": 40,
    "models": 60,
    "runs": 25,
    "configs": 12,
    "kills": 2,
    "disks": 5,
    "environments": 2,
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, limits and signals")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "images" else pytest.mark.slow) for name in CASES],
)
def test_a_sweep_finds_no_fault(name):
    words = ["--count", str(CASES[name]), "--seed", "7"]
    done = subprocess.run(
        [sys.executable, str(FAULTS / f"{name}.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "faults: 0" in done.stdout


def test_every_sweep_is_run():
    sweeps = {path.stem for path in FAULTS.glob("*.py") if "def main(" in path.read_text()}
    assert sweeps == set(CASES)
