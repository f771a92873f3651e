"""The record of the files that a run has written, and their removal.

``files.txt`` in the run directory lists them below its first line, one path a line. A path is
added before its file is written, so a killed process leaves no file without its line. Only what is
listed is ever removed: other files in the folder are somebody's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from bigan_cli.atomic import append
from bigan_cli.errors import RunDirectoryError
from bigan_cli.regular_files import read_regular_file

FILE_NAME = "files.txt"
FOLDERS = ("models", "reconstruction", "stats")

_HEADING = "# Files that bigan wrote into this folder. --overwrite removes these alone."
_LARGEST = 64_000_000  # bytes
_BY_TRAINING = re.compile(
    r"run\.json|config\.toml|files\.txt"
    r"|models/(epoch-\d{4,9}|best|last)\.safetensors|models/training-state(-\d{1,9})?\.pt"
    r"|reconstruction/(comparison|fake|true|test)/epoch-\d{4,9}\.png"
    r"|stats/(metrics\.jsonl|losses\.png|profile\.json|self_test\.json)"
)
_BY_OTHERS = re.compile(
    r"reconstruction/reconstruct\.png|((multi|latent|scores|heatmaps)_)?animation\.gif"
    r"|stats/([^/]+/){0,2}(evaluation\.json|scores\.csv|roc\.png|pr\.png|histogram\.png)"
    r"|(stats/([^/]+/){1,2})?report\.html"
    r"|trackers/([^/]+/){1,8}[^/]+"
)


class RunFiles:
    """The files that the run in a folder has written.

    Args:
        folder: The run directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / FILE_NAME
        self._listed: set[str] | None = None

    def add(self, path: Path) -> None:
        """Record that the run writes *path*; one outside its folder is not recorded.

        Raises:
            OSError: The record cannot be written.
        """
        try:
            name = path.relative_to(self.folder).as_posix()
        except ValueError:
            return
        if self._listed is None:
            self._listed = self._read()
        if name in self._listed:
            return
        new = [] if self._listed else [_HEADING, FILE_NAME]
        append(self.record, "".join(f"{each}\n" for each in (*new, name)).encode())
        self._listed.update((FILE_NAME, name))

    def drop_if_cut_off(self) -> bool:
        """Remove a record that a full disk cut off in its first line; return whether it was."""
        try:
            begun = read_regular_file(self.record, len(_HEADING))
        except OSError:
            return False
        if not _HEADING.encode().startswith(begun):
            return False
        self.record.unlink()
        return True

    def listed(self) -> list[Path]:
        """Return the files that the record lists and that a run may write, in no order."""
        return [
            self.folder / name
            for name in self._read()
            if _BY_TRAINING.fullmatch(name) or _BY_OTHERS.fullmatch(name)
        ]

    def foreign(self) -> list[Path]:
        """Return the files that a training would replace, though no run has written them."""
        listed = self._read()
        return sorted(
            path
            for path in self._existing()
            if (name := path.relative_to(self.folder).as_posix()) not in listed
            and _BY_TRAINING.fullmatch(name)
        )

    def remove(self) -> None:
        """Remove the listed files, and the folders that are empty then.

        Raises:
            RunDirectoryError: One cannot be removed, or is in a folder that is a link, through
                which nothing is removed.
        """
        found = [path for path in self.listed() if path.exists() or path.is_symlink()]
        for path in found:
            self._check_no_link(path)
        # run.json and the record last: while they are there, the folder is known to hold a run.
        last = {"run.json": 1, FILE_NAME: 2}
        for path in sorted(found, key=lambda path: last.get(path.name, 0)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise RunDirectoryError(f"cannot remove {path}: {error.strerror}") from error
        self._listed = None
        folders = {
            parent
            for path in found
            for parent in path.parents
            if parent != self.folder and self.folder in parent.parents
        }
        for folder in sorted(folders, key=lambda path: -len(path.parts)):  # the deepest first
            with suppress(OSError):  # not empty
                folder.rmdir()

    def _check_no_link(self, path: Path) -> None:
        for parent in path.parents:
            if parent == self.folder:
                return
            if parent.is_symlink():
                raise RunDirectoryError(
                    f"{parent} is a link to another folder, in which nothing is removed",
                    "remove the link, or name another folder with 'output.save_dir'",
                )

    def _existing(self) -> Iterator[Path]:
        yield from (path for path in self.folder.glob("*") if path.is_file())
        for name in FOLDERS:
            yield from (path for path in (self.folder / name).glob("**/*") if path.is_file())

    def _read(self) -> set[str]:
        """Return the names in the record, without a last line that is cut off."""
        try:
            data = read_regular_file(self.record, _LARGEST)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise RunDirectoryError(
                f"cannot read {self.record}: {error.strerror}", "make it a file that you may read"
            ) from error
        heading, *lines = data.decode("utf-8", "replace").split("\n")[:-1] or [""]
        if heading != _HEADING:
            return set()
        return {line for line in lines if ".." not in PurePosixPath(line).parts}
