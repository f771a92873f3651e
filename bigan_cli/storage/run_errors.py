"""The errors for a folder without a run, a run without a trained model, and damaged files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigan_cli.errors import RunDirectoryError
from bigan_cli.formatting import one_line
from bigan_cli.missing_paths import similar_path


def no_run(path: Path) -> RunDirectoryError:
    """Return the error for a folder that holds no run, or does not exist."""
    return RunDirectoryError(
        f"no run in {path} (run.json missing)",
        similar_path(path) or "train one, or name it with 'run=DIR'",
    )


def no_trained_model(path: Path, info: Mapping[str, Any], *, untrained: bool) -> RunDirectoryError:
    """Return the error for a run whose training has saved no model yet.

    Args:
        path: The run directory.
        info: Its run.json.
        untrained: Whether it has saved the untrained networks.
    """
    running = info.get("status") == "running"
    wait = "wait for its training if it is still running, or " if running else ""
    otherwise = "; 'checkpoint=0' has the untrained networks" if untrained else ""
    return RunDirectoryError(
        f"{path} has no trained model yet (epoch {info.get('epoch', 0)} of "
        f"{info.get('epochs', '?')} finished)",
        f"{wait}continue it with 'bigan train --resume --save-dir {path}'{otherwise}",
    )


def damaged_file(file: Path, error: ValueError) -> RunDirectoryError:
    """Return the error for a file of a run that cannot be used."""
    return RunDirectoryError(
        f"{file} is damaged ({one_line(str(error))})",
        "restore it from a copy, or train anew in another 'output.save_dir'; the model files of "
        "this run can still be used for scoring",
    )
