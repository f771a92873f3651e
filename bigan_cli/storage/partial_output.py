"""Resumable output: rows are written to disk as they are computed.

Until all inputs are done, the rows of ``scores.csv`` are in ``scores.csv.partial`` next to it.
The first line of that file is a header that says which model, threshold and components its rows
come from; the rest is what the output will contain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bigan_cli.atomic import atomic_write, file_lock, remove_stale_temporaries
from bigan_cli.errors import BiganError, UsageError
from bigan_cli.locations.location import Location
from bigan_cli.storage.completed_inputs import START_OVER, CompletedInputs, copy_complete_rows
from bigan_cli.storage.score_table import RowFormat, write_table
from bigan_cli.storage.strict_json import parse_json

_KIND = "bigan score, unfinished"


@dataclass(frozen=True)
class Header:
    """What the rows of a partial output were computed with.

    Attributes:
        model: Checksum of the model file.
        threshold: The score above which an image is anomalous.
        components: The components' names, in the order of their columns.
        map_files: Which files of heatmaps each row has, and where; empty for none.
        review: The score above which an image is to be reviewed; None without such a band.
    """

    model: str
    threshold: float
    components: Sequence[str]
    map_files: Mapping[str, str | None] = field(default_factory=dict)
    review: float | None = None

    def line(self) -> str:
        """Return the first line of a partial output, with its line end."""
        return json.dumps({"kind": _KIND, **self.as_dict()}) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, as they are read back from JSON."""
        return {
            "model": self.model,
            "threshold": self.threshold,
            "components": list(self.components),
            "map_files": dict(self.map_files),
            "review": self.review,
        }

    def check(self, line: str, partial: Path) -> None:
        """Raise an error if *line* is not the header of rows computed in the same way.

        Raises:
            UsageError: The message says what differs.
        """
        try:
            found = parse_json(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("kind") != _KIND:
            raise UsageError(f"{partial} is not an unfinished output of 'bigan score'", START_OVER)
        self.check_values(found, partial)

    def check_values(self, found: Mapping[str, Any], partial: Location) -> None:
        """Raise an error if *found*, the values of another header, differ from these.

        Raises:
            UsageError: The message says what differs.
        """
        if found.get("model") != self.model or found.get("components") != list(self.components):
            raise UsageError(
                f"{partial} comes from another model", f"resume with that model, or {START_OVER}"
            )
        if found.get("threshold") != self.threshold:
            raise UsageError(
                f"{partial} was labelled with the threshold {found.get('threshold')}, not with "
                f"{self.threshold}",
                f"resume with the same 'score.fpr' or threshold, or {START_OVER}",
            )
        if found.get("review") != self.review:
            raise UsageError(
                f"{partial} was labelled with another rate for a review",
                f"resume with the same rate, or {START_OVER}",
            )
        if found.get("map_files") != dict(self.map_files):
            raise UsageError(
                f"{partial} comes from a call that wrote other maps or masks",
                f"resume with the same folders and format, or {START_OVER}",
            )


def partial_path(output: Path) -> Path:
    """Return the file that holds the rows of *output* until all are done."""
    return output.with_name(f"{output.name}.partial")


def is_unfinished(output: Path) -> bool:
    """Return whether there is a non-empty partial file of *output*."""
    partial = partial_path(output)
    return partial.is_file() and partial.stat().st_size > 0


@contextmanager
def exclusive(output: Path) -> Iterator[None]:
    """Lock *output* and its partial file against other processes.

    Temporary files next to it that killed processes left are removed.

    Raises:
        UsageError: Another process has locked them.
        OSError: The folder cannot be written to.
    """
    lock = output.with_name(f".{output.name}.lock")
    output.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(lock, _in_use(output)))
        except OSError as error:
            # The user knows the output, not its lock.
            raise OSError(error.errno, error.strerror, str(output)) from error
        remove_stale_temporaries(output.parent)
        try:
            yield
        finally:
            with suppress(OSError):  # Windows does not remove open files
                lock.unlink(missing_ok=True)


def resume(output: Path, header: Header, row_format: RowFormat) -> CompletedInputs:
    """Prepare the partial file of *output* for appending, and return the inputs that it has.

    A truncated last line is dropped, and so are the rows of inputs that could not be scored:
    these inputs are tried again.

    Raises:
        UsageError: The rows come from another model or threshold, or the file is damaged.
    """
    partial = partial_path(output)
    with partial.open(encoding="utf-8", errors="replace", newline="") as old:
        header.check(old.readline(), partial)
    return copy_complete_rows(
        partial, output, row_format, len(header.components), head=header.line()
    )


@contextmanager
def partial_output(
    output: Path, header: Header, row_format: RowFormat, *, resumed: bool
) -> Iterator[Callable[[str], None]]:
    """Yield a function that writes the lines of a batch; *output* is created at the end.

    If the process is stopped, the partial file stays. A :class:`BiganError` removes it, unless
    the output was resumed.

    Args:
        output: The final file.
        header: What the rows are computed with.
        row_format: How rows become lines.
        resumed: Whether :func:`resume` has prepared a file to append to.
    """
    partial = partial_path(output)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _open(partial, resumed=resumed) as stream:
            if not resumed:
                stream.write(header.line())
                if row_format.header is not None:
                    stream.write(row_format.header + "\n")
                stream.flush()

            def write(lines: str) -> None:
                stream.write(lines + "\n")
                stream.flush()  # to the operating system, so that a killed process loses nothing

            yield write
        _finish(partial, output)
    except BiganError as error:
        if not resumed and not isinstance(error, _InUseError | _InTheWayError):
            partial.unlink(missing_ok=True)
        raise


class _InTheWayError(UsageError):
    """Something that bigan did not write has the name of the partial file."""


class _InUseError(UsageError):
    """Another process is writing the output."""


def _in_use(path: Path) -> _InUseError:
    return _InUseError(
        f"another process is writing {path}", "wait for it, or pass another 'output=FILE'"
    )


def _open(partial: Path, *, resumed: bool) -> IO[str]:
    if not resumed and partial.is_file() and partial.stat().st_size == 0:
        partial.unlink()
    try:
        return partial.open("a" if resumed else "x", encoding="utf-8", newline="")
    except FileNotFoundError as error:
        raise UsageError(f"cannot write {partial}: {error.strerror}") from error
    except FileExistsError as error:
        if partial.is_symlink() or not partial.is_file():
            raise _InTheWayError(f"{partial} is in the way: it is not a regular file") from error
        # It did not exist when this process started.
        raise _in_use(partial) from error


def _finish(partial: Path, output: Path) -> None:
    with partial.open("rb") as rows, atomic_write(output) as whole:
        rows.readline()
        write_table(rows, whole, output)
    partial.unlink()
