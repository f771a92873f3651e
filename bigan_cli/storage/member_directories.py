"""Directories of ensemble members that are trained beside each other, within that of their run.

Each holds a run of one member until that joins the others. The training states are in the run's
own directory, so that any process can continue them.
"""

from __future__ import annotations

from contextlib import suppress

from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.run_files import RunFiles

_FOLDER = ".members"


def member_directory(run: RunDirectory, member: int) -> RunDirectory:
    """Return the directory of *member*, counted from 0; it need not exist."""
    return RunDirectory(run.path / _FOLDER / str(member + 1))


def make_member_directory(run: RunDirectory, member: int) -> RunDirectory:
    """Return the directory of *member*, which is made where it is missing."""
    own = member_directory(run, member)
    if not own.run_file.exists():
        own.write_info(status="running")
    own.remove_stale_temporaries()
    return own


def member_directories(run: RunDirectory) -> dict[int, RunDirectory]:
    """Return the directories that there are, by their members, counted from 0."""
    found = (path.name for path in (run.path / _FOLDER).glob("*") if path.name.isdecimal())
    members = (int(name) - 1 for name in sorted(found, key=int))
    return {
        member: own
        for member in members
        if (own := member_directory(run, member)).run_file.exists()
    }


def remove_member_directory(own: RunDirectory) -> None:
    """Remove the files of a member's directory, and the folders that are empty then.

    Raises:
        RunDirectoryError: A file cannot be removed.
    """
    RunFiles(own.path).remove()
    for folder in (own.path, own.path.parent):
        with suppress(OSError):  # not empty
            folder.rmdir()
