"""Images that are no longer in the folder where a run was trained on them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bigan_cli.errors import DataError
from bigan_cli.missing_paths import is_missing
from bigan_cli.storage.run_directory import RunDirectory

if TYPE_CHECKING:
    from bigan_cli.config.schema import RunConfig
    from bigan_cli.plugins import Registry


def moved_root(run: RunDirectory, root: Path | None) -> Path | None:
    """Return where the data folder *root* is now, if it was moved together with the run.

    None if it is where it was, or is nowhere near.
    """
    trained_in = run.info().get("folder", "")
    if root is None or root.exists() or not root.is_absolute() or not trained_in:
        return None
    moved = (run.path.absolute() / os.path.relpath(root, trained_in)).resolve()
    return moved if moved.is_dir() else None


def require_images(run: RunDirectory, registry: Registry, config: RunConfig) -> None:
    """Check that the folder of images that *run* was trained on is still there.

    Raises:
        DataError: It is not; nothing that the user named is wrong.
    """
    data = config.data
    needed = registry.dataset(data.dataset).needs_root
    if needed and data.root is not None and is_missing(data.root):
        raise DataError(
            f"the images of {run.path} are no longer in {data.root}",
            "name the folder where they are now with 'data.root'",
        )
