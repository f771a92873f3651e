"""What all rows of a benchmark say alike: which machine, and which commit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigan_cli.benchmarkdir import BenchmarkDirectory
from bigan_cli.commands._benchmark_children import ChildError, Children
from bigan_cli.errors import BiganError


def find_facts(folder: BenchmarkDirectory, children: Children, device: str) -> dict[str, Any]:
    """Return ``machine`` in words, and ``commit``, or None where it is not known.

    Raises:
        BiganError: ``bigan env`` does not work.
        Stopped: The benchmark is being stopped.
    """
    try:
        told = json.loads(children.run(["env", "--json"], folder.log("env")).output)
    except ChildError as error:
        raise BiganError(f"'bigan env' failed: {error}") from error
    name = told["torch"].get("auto", "") if device == "auto" else device
    devices: Mapping[str, str] = told["torch"].get("devices", {})
    on = devices.get("cuda:0" if name == "cuda" else name, "")
    where = told["cpu"] if name == "cpu" or not on else f"{on} ({told['cpu']})"
    return {"machine": f"{where}, {told['memory']}", "commit": _commit()}


def _commit() -> str | None:
    """Return the commit of the checkout that this program runs from, or None."""
    here = Path(__file__)

    def git(*words: str) -> str:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(here.parent), *words],  # noqa: S607  the one that the user has
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout.strip()

    try:
        # Installed into an environment that lies in somebody else's checkout, it is not of that.
        git("ls-files", "--error-unmatch", here.name)
        changed = bool(git("status", "--porcelain", "--", str(here.parents[1])))
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return None
