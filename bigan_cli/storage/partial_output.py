"""An output under way: its rows on disk as they come, so that a run that was stopped can go on.

``scores.csv.partial`` lies beside ``scores.csv`` until all is done. Its first line says which
model and threshold its rows come from; the rest is what the output will hold.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bigan_cli.atomic import atomic_write, file_lock
from bigan_cli.errors import BiganError, UsageError
from bigan_cli.storage.score_rows import ANOMALY, Format, csv_line

_MARK = "bigan score, unfinished"
_DIGEST = 16


@dataclass(frozen=True)
class Stamp:
    """What the rows of one output have in common.

    Attributes:
        model: SHA-256 of the model file.
        threshold: The score above which an image is an anomaly.
        components: The components' names, in the order of their columns.
    """

    model: str
    threshold: float
    components: Sequence[str]

    def line(self) -> str:
        """Return the first line of a partial output, with its end."""
        values = {"model": self.model, "threshold": self.threshold, "of": list(self.components)}
        return json.dumps({"what": _MARK, **values}) + "\n"

    def check(self, line: str, partial: Path) -> None:
        """Refuse a partial output whose first line tells of other rows than these.

        Raises:
            UsageError: Says what differs.
        """
        try:
            there = json.loads(line)
        except ValueError:
            there = None
        if not isinstance(there, dict) or there.get("what") != _MARK:
            raise UsageError(f"{partial} is no unfinished output of 'bigan score'", _ANEW)
        if there.get("model") != self.model or there.get("of") != list(self.components):
            raise UsageError(
                f"{partial} comes from another model", f"resume with that model, or {_ANEW}"
            )
        if there.get("threshold") != self.threshold:
            raise UsageError(
                f"{partial} was labelled by the threshold {there.get('threshold')}, not by "
                f"{self.threshold}",
                f"resume with the same 'score.fpr' or threshold, or {_ANEW}",
            )


_ANEW = "delete it to start anew"


class Earlier:
    """The rows that a partial output held already.

    Args:
        digests: 16 bytes for the path of each.
        anomalies: How many of them are called anomalous.
    """

    def __init__(self, digests: bytes | bytearray = b"", anomalies: int = 0) -> None:
        self._digests = np.sort(np.frombuffer(bytes(digests), f"S{_DIGEST}"))
        self._taken = np.zeros(len(self._digests), np.uint32)
        self.scored = len(self._digests)
        self.anomalies = anomalies

    @property
    def untaken(self) -> int:
        """How many rows no input has taken yet."""
        return self.scored - int(self._taken.sum())

    def take(self, path: str) -> bool:
        """Return whether *path* has a row not taken before; an input given twice has two.

        Of a path nothing is kept but its digest, so millions cost little.
        """
        if not self.scored:
            return False
        wanted = np.bytes_(_digest(path))
        first = int(np.searchsorted(self._digests, wanted))
        at = first + (int(self._taken[first]) if first < self.scored else 0)
        if at >= self.scored or self._digests[at] != wanted:
            return False
        self._taken[first] += 1
        return True


def partial_path(output: Path) -> Path:
    """Return where the rows of *output* lie until all is done."""
    return output.with_name(f"{output.name}.partial")


def is_unfinished(output: Path) -> bool:
    """Return whether there are rows of *output* from a run that was stopped."""
    partial = partial_path(output)
    return partial.is_file() and partial.stat().st_size > 0


def model_digest(file: Path) -> str:
    """Return the SHA-256 of a model file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Keep other processes from writing *output* and its partial file meanwhile.

    Raises:
        UsageError: Another one does.
        OSError: Nothing can be written there.
    """
    lock = output.with_name(f".{output.name}.lock")
    output.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(lock, _in_use(output)))
        except OSError as error:
            # The user knows the file that was asked for, not its lock.
            raise OSError(error.errno, error.strerror, str(output)) from error
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no file that is open
                lock.unlink(missing_ok=True)


def take_up(output: Path, stamp: Stamp, kind: Format) -> Earlier:
    """Make the partial file of *output* ready to be continued; return what it holds.

    A last line that was cut off is dropped, and so are the rows of inputs that could not be
    read: these are tried again.

    Raises:
        UsageError: The rows come from another model or threshold, or are no rows at all.
    """
    partial = partial_path(output)
    digests, anomalies = bytearray(), 0
    with (
        atomic_write(partial, "w") as new,
        partial.open(encoding="utf-8", errors="replace", newline="") as old,
    ):
        stamp.check(old.readline(), partial)
        new.write(stamp.line())
        if kind.header is not None:
            old.readline()
            new.write(kind.header + "\n")
        reading = _csv_rows if output.suffix.lower() == ".csv" else _json_rows
        for path, anomaly, line in reading(old, partial, len(stamp.components)):
            new.write(line + "\n")
            digests += _digest(path)
            anomalies += anomaly
    return Earlier(digests, anomalies)


@contextmanager
def partial_output(
    output: Path, stamp: Stamp, kind: Format, *, resumed: bool
) -> Iterator[Callable[[str], None]]:
    """Yield what to call with the lines of each batch; *output* is there when all is done.

    If the run is stopped the partial file stays. An error that this program tells of itself
    removes it, unless the run was resumed.

    Args:
        output: The file wanted in the end.
        stamp: What the rows come from.
        kind: How rows become lines.
        resumed: Whether :func:`take_up` has left a file to append to.
    """
    partial = partial_path(output)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _open(partial, resumed=resumed) as stream:
            if not resumed:
                stream.write(stamp.line())
                if kind.header is not None:
                    stream.write(kind.header + "\n")
                stream.flush()

            def emit(lines: str) -> None:
                stream.write(lines + "\n")
                stream.flush()  # to the system, which outlives this process

            yield emit
        _finish(partial, output)
    except BiganError as error:
        if not resumed and not isinstance(error, _InUseError):
            partial.unlink(missing_ok=True)
        raise


class _InUseError(UsageError):
    """The rows there are another process's."""


def _in_use(what: Path) -> _InUseError:
    return _InUseError(f"another process is writing {what}", "wait for it, or name another output")


def _open(partial: Path, *, resumed: bool) -> IO[str]:
    if not resumed and partial.is_file() and partial.stat().st_size == 0:
        partial.unlink()
    try:
        return partial.open("a" if resumed else "x", encoding="utf-8", newline="")
    except FileNotFoundError as error:
        raise UsageError(f"cannot write {partial}: {error.strerror}") from error
    except FileExistsError as error:
        # There was none when this command started.
        raise _in_use(partial) from error


def _finish(partial: Path, output: Path) -> None:
    import shutil

    with partial.open("rb") as rows, atomic_write(output) as whole:
        rows.readline()
        shutil.copyfileobj(rows, whole, 2**20)
    partial.unlink()


def _csv_rows(file: IO[str], partial: Path, components: int) -> Iterator[tuple[str, bool, str]]:
    """Yield (path, whether an anomaly, line) of each whole row that has a score."""
    torn: list[str] | None = None
    ends = _Ends(file)
    for cells in csv.reader(ends):
        if torn is not None:
            raise _damaged(partial)
        if len(cells) != components + 5 or not ends.whole:
            torn = cells  # which only the last may be
        elif cells[1]:
            yield cells[0], cells[3] == ANOMALY, csv_line(cells)


class _Ends:
    """The lines of a file, and whether the last one that was asked for had an end."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.whole = True

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.whole = line.endswith("\n")
            yield line


def _json_rows(file: IO[str], partial: Path, components: int) -> Iterator[tuple[str, bool, str]]:
    """Yield (path, whether an anomaly, line) of each whole row that has a score."""
    torn = False
    for line in file:
        if torn:
            raise _damaged(partial)
        row = _json_row(line)
        if row is None or len(row["components"]) not in (0, components):
            torn = True
        elif row["score"] is not None:
            yield row["path"], row["label"] == ANOMALY, line.removesuffix("\n")


def _json_row(line: str) -> Mapping[str, Any] | None:
    if not line.endswith("\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    wanted = {"path", "score", "label", "components"}
    return row if isinstance(row, dict) and wanted <= row.keys() else None


def _damaged(partial: Path) -> UsageError:
    return UsageError(f"{partial} is damaged before its end", _ANEW)


def _digest(path: str) -> bytes:
    # The last byte is the same in all: numpy drops zeros from the ends of its byte strings.
    encoded = path.encode("utf-8", "backslashreplace")
    return hashlib.blake2b(encoded, digest_size=_DIGEST - 1).digest() + b"."
