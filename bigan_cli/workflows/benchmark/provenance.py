"""What a row of a benchmark was measured with: which machine, and which commit."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigan_cli.cli.commands.env import cpu, memory
from bigan_cli.workflows.benchmark.processes import Children


class Machine:
    """This machine in words; asked for its graphics cards once, and only if one was used.

    Args:
        children: Asks, since PyTorch in this process would take memory from the runs.
        log: Of what is asked.
    """

    def __init__(self, children: Children, log: Path) -> None:
        self._children = children
        self._log = log
        self._devices: Mapping[str, str] | None = None
        self._lock = threading.Lock()

    def words(self, device: str) -> str:
        """Return the machine as it is with *device*, ``cpu`` or a graphics card.

        Raises:
            ChildError: ``bigan env`` does not work.
            Stopped: The benchmark is being stopped.
        """
        here = f"{cpu()}, {memory()}"
        if device == "cpu":
            return here
        with self._lock:
            if self._devices is None:
                told: dict[str, Any] = json.loads(
                    self._children.run(["env", "--json"], self._log).output
                )
                self._devices = told["torch"].get("devices", {})
        return f"{self._devices.get('cuda:0' if device == 'cuda' else device, device)}; {here}"


def commit() -> str | None:
    """Return the commit of the checkout that this program runs from, or None.

    ``+changes`` follows it where the program differs from it.
    """
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
