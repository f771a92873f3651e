"""The parts of a table of scores, each written whole, and what they must agree on.

The parts of ``scores.csv`` are in the folder ``scores.csv.parts``: ``00000.csv`` and so on, and
``parts.json``, which says how many there are. The first line of a part says what its rows were
computed with; after it comes a table.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TypeVar

from bigan_cli.atomic import atomic_write
from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import count
from bigan_cli.locations.location import (
    Location,
    location_exists,
    open_location,
    write_location,
)
from bigan_cli.missing_paths import is_missing, similar_path
from bigan_cli.storage.part_schema import (
    KIND,
    AllParts,
    Computed,
    PartStart,
    parse_all_parts,
    parse_part_start,
)
from bigan_cli.storage.partial_output import Header
from bigan_cli.storage.score_table import (
    ANOMALY,
    NOT_FINITE,
    ScoreRow,
    file_format,
    has_json_lines,
    write_table,
)

_MOST_LISTED = 10
_LONGEST_LINE = 2**20
_AGAIN = "delete it, and run the shards again"

T = TypeVar("T")


@dataclass
class PartCounts:
    """Counts of the inputs of one or more parts.

    Attributes:
        scored: Those with a score.
        skipped: Those without.
        not_finite: Those of them that the networks gave no finite score.
        anomalies: Those labelled anomalous.
    """

    scored: int = 0
    skipped: int = 0
    not_finite: int = 0
    anomalies: int = 0

    def add(self, other: PartCounts) -> None:
        """Add the counts of another part."""
        self.scored += other.scored
        self.skipped += other.skipped
        self.not_finite += other.not_finite
        self.anomalies += other.anomalies


class ScoreParts:
    """The folder with the parts of an output.

    Args:
        output: The file that they become, here or behind a URL.

    Attributes:
        inputs: The list of the inputs of all parts, where an engine scores them.
    """

    def __init__(self, output: Location) -> None:
        self.output = output
        self.folder = output.with_name(f"{output.name}.parts")
        self._suffix = ".jsonl" if has_json_lines(Path(output.name)) else ".csv"
        self._total = self.folder / "parts.json"
        self.inputs = self.folder / "inputs.parquet"

    def path(self, number: int) -> Location:
        """Return the file of a part."""
        return self.folder / f"{number:05}{self._suffix}"

    def existing(self, number: int, digest: str, header: Header) -> PartCounts | None:
        """Return the counts of a part that is written already, or None.

        Raises:
            UsageError: It is of another model, threshold or inputs.
        """
        path = self.path(number)
        if not location_exists(path):
            return None
        first = self._first_line(number)
        header.check_values(first.computed.model_dump(), path)
        if first.inputs != digest:
            raise self._other_inputs(path)
        return PartCounts(**first.counts.model_dump())

    def write(
        self, number: int, digest: str, header: Header, rows: Iterable[Sequence[ScoreRow]]
    ) -> PartCounts:
        """Write a part whole, or nothing, and return its counts."""
        counts = PartCounts()
        row_format = file_format(Path(self.path(number).name), header.components)
        lines = [] if row_format.header is None else [row_format.header]
        for batch in rows:
            lines.append(row_format.lines(batch))
            counts.scored += sum(row.score is not None for row in batch)
            counts.skipped += sum(row.score is None for row in batch)
            counts.not_finite += sum(row.error == NOT_FINITE for row in batch)
            counts.anomalies += sum(row.label == ANOMALY for row in batch)
        table = "".join(f"{line}\n" for line in lines).encode()
        first = {
            "kind": KIND,
            "part": number,
            "inputs": digest,
            "counts": asdict(counts),
            "computed": header.as_dict(),
            "table": _digest(table),
        }
        _write(self.path(number), f"{json.dumps(first)}\n".encode() + table)
        return counts

    def finish(self, digests: Sequence[str]) -> None:
        """Write how many parts there are; every process writes the same.

        Raises:
            UsageError: Another process found other inputs.
        """
        said = AllParts(kind=KIND, parts=len(digests), inputs=_joined(digests))
        if not location_exists(self._total):
            _write(self._total, f"{said.model_dump_json()}\n".encode())
        elif _read_start(self._total, parse_all_parts) != said:
            raise self._other_inputs(self._total)

    def merge(self, whole: IO[bytes]) -> tuple[int, PartCounts, Computed]:
        """Check the parts and write their rows, in order, into one table.

        Returns:
            The number of parts, their counts, and what their rows were computed with.

        Raises:
            DataError: A part is missing, or there are none.
            UsageError: They are of different models, thresholds or inputs.
        """
        if isinstance(self.folder, Path) and is_missing(self.folder):
            raise UsageError(
                f"no parts of {self.output} (no folder {self.folder})",
                similar_path(self.folder) or "write them with 'bigan score --shard' first",
            )
        if not location_exists(self._total):
            raise DataError(
                f"no {self._total}: no shard has come to the end of the inputs",
                "run 'bigan score' with each of the shards first",
            )
        said = _read_start(self._total, parse_all_parts)
        number = said.parts
        self._check_complete(number)
        digests, tables, counts = list[str](), list[str](), PartCounts()
        computed = self._first_line(0).computed
        for each in range(number):
            first = self._first_line(each)
            if first.computed != computed:
                raise UsageError(
                    f"{self.path(each)} is of another model, threshold or maps than {self.path(0)}",
                    "score all parts with one model and one threshold",
                )
            digests.append(first.inputs)
            tables.append(first.table)
            counts.add(PartCounts(**first.counts.model_dump()))
        if _joined(digests) != said.inputs:
            raise self._other_inputs(self._total)
        write_table(self._lines(tables), whole, Path(self.output.name))
        return number, counts, computed

    def _lines(self, tables: Sequence[str]) -> Iterator[bytes]:
        """Yield the lines of all parts, with the header of the table once.

        Args:
            tables: The digest of each part's table.

        Raises:
            UsageError: A table has another.
        """
        for number, digest in enumerate(tables):
            path, found = self.path(number), _hash()
            with open_location(path) as stream:
                stream.readline()
                for i, line in enumerate(stream):
                    found.update(line)
                    if i or not number or self._suffix != ".csv":
                        yield line
            if found.hexdigest() != digest:
                raise UsageError(f"the rows of {path} are damaged", _AGAIN)

    def _check_complete(self, number: int) -> None:
        missing = [each for each in range(number) if not location_exists(self.path(each))]
        if missing:
            listed = ", ".join(map(str, missing[:_MOST_LISTED]))
            more = ", ..." if len(missing) > _MOST_LISTED else ""
            raise DataError(
                f"{len(missing):,} of {count(number, 'part')} missing in {self.folder}: "
                f"{listed}{more}",
                "run the shards again: parts that exist are skipped",
            )

    def _first_line(self, number: int) -> PartStart:
        path = self.path(number)
        found = _read_start(path, parse_part_start)
        if found.part != number:
            raise UsageError(f"{path} is part {found.part}, renamed", "delete it")
        return found

    def _other_inputs(self, path: Location) -> UsageError:
        return UsageError(
            f"{path} is of other inputs, in another order or in parts of another size",
            f"score the same inputs, or delete {self.folder} to start over",
        )


def _read_start(path: Location, parse: Callable[[bytes], T]) -> T:
    """Return what the first line of a file of this folder says."""
    with open_location(path) as stream:
        try:
            return parse(stream.readline(_LONGEST_LINE))
        except ValueError as error:
            raise UsageError(
                f"{path} was not written by a shard of 'bigan score', or is damaged ({error})",
                _AGAIN,
            ) from error


def _write(path: Location, contents: bytes) -> None:
    if isinstance(path, Path):
        with atomic_write(path) as stream:
            stream.write(contents)
    else:
        write_location(path, io.BytesIO(contents))


def _joined(digests: Sequence[str]) -> str:
    return _digest("".join(digests).encode())


def _digest(contents: bytes) -> str:
    found = _hash()
    found.update(contents)
    return found.hexdigest()


def _hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
