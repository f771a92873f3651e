"""What a result was measured on: the machine, the versions, the commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "typer", "pydantic")
# What a run of the benchmarks itself writes does not make the measured code another.
_WRITTEN = (":!benchmarks/results", ":!docs/performance.md")


def machine(*, with_gpu: bool) -> dict[str, str | int | float]:
    """Return processor, cores, memory, graphics card where it was used, and operating system."""
    facts: dict[str, str | int | float] = {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "os": platform.platform(),
    }
    return facts | ({"gpu": _gpu()} if with_gpu else {})


def versions() -> dict[str, str]:
    """Return the versions of Python, of bigan and of the packages that decide its speed."""
    return {
        "python": platform.python_version(),
        "bigan": _own_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def commit() -> dict[str, str | bool]:
    """Return the commit of this checkout, and whether its files differ from it."""
    try:
        name = _git("rev-parse", "HEAD")
        return {"hash": name, "dirty": bool(_git("status", "--porcelain", "--", ".", *_WRITTEN))}
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout
        return {"hash": "unknown", "dirty": True}


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def _own_version() -> str:
    # Of this checkout, whatever is installed.
    program = "import bigan_cli; print(bigan_cli.__version__)"
    return _child(program) or "unknown"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _gpu() -> str:
    # In a child: torch in this process would weigh on every process it starts.
    program = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    )
    return _child(program) or "none"


def _child(program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    return done.stdout.strip()
