"""Where the rows of a benchmark come from: the commit, and the commands that repeat them.

The only place below the command line that knows its flags: a result must say how to repeat it.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bigan_cli.workflows.benchmark.grid import Cell, Grid, SharedSettings


def commit() -> str | None:
    """Return the commit of the checkout that this program runs from, or None.

    ``+changes`` follows if the program differs from that commit.
    """
    here = Path(__file__)

    def git(*words: str) -> str:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(here.parent), *words],  # noqa: S607  the user's own git
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout.strip()

    try:
        # An environment may be inside the checkout of another project.
        git("ls-files", "--error-unmatch", here.name)
        changed = bool(git("status", "--porcelain", "--", str(here.parents[2])))
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return None


def benchmark_command(grid: Grid, *, baselines: bool) -> str:
    """Return the command line of a benchmark, without paths of this machine."""
    return shlex.join(
        ["bigan", "benchmark", *_options(grid.arguments), *(["--baselines"] if baselines else [])]
    )


def cell_command(cell: Cell, shared: SharedSettings, path: Path | None = None) -> str:
    """Return the command lines that train and evaluate *cell*.

    Args:
        cell: The cell.
        shared: The settings that all cells share.
        path: The run directory; None for commands without paths of this machine, in which files
            have their names alone and the run directory is called like the cell.
    """
    portable = path is None
    options: dict[str, Sequence[object]] = {"dataset": [cell.dataset]}
    if cell.option:
        options[cell.option] = cell.classes
    options |= {
        "seed": [cell.seed],
        "preset": [] if cell.preset is None else [cell.preset],
        "set": cell.sets,
        "device": [cell.device],
        "config": _paths([] if shared.config is None else [shared.config], portable=portable),
        "plugin": _paths(shared.plugins, portable=portable),
        "data-root": [] if portable or shared.data_root is None else [shared.data_root],
        "save-dir": [cell.name if path is None else path],
    }
    train = shlex.join(["bigan", "train", *_options(options)])
    run = cell.name if path is None else str(path)
    return f"{train} && {shlex.join(['bigan', 'evaluate', '--run', run])}"


def _options(values: Mapping[str, Sequence[object]]) -> list[str]:
    return [word for name, each in values.items() for v in each for word in (f"--{name}", str(v))]


def _paths(paths: Sequence[Path], *, portable: bool) -> list[object]:
    return [path.name if portable else path for path in paths]
