"""The folder of a benchmark; the only place that knows its file names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bigan_cli.atomic import write_text
from bigan_cli.errors import RunDirectoryError
from bigan_cli.formatting import one_line
from bigan_cli.regular_files import read_regular_file
from bigan_cli.storage.benchmark_schema import SCHEMA, parse_results
from bigan_cli.storage.run_directory import RunDirectory

_LARGEST = 256_000_000  # bytes


class BenchmarkDirectory:
    """The files of one benchmark; nothing is created before something is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results_file = path / "results.json"
        self.table_file = path / "results.csv"
        self.page_file = path / "results.md"
        self.runs = path / "runs"
        self.logs = path / "logs"
        self._rows = path / ".rows"

    def run(self, cell: str) -> RunDirectory:
        """Return the run directory of the cell called *cell*; it need not exist."""
        return RunDirectory(self.runs / cell)

    def log(self, cell: str) -> Path:
        """Return the log file of the processes of a cell."""
        return self.logs / f"{cell}.log"

    def read(self) -> dict[str, Any] | None:
        """Return the results that :meth:`write` wrote, or None if there is no benchmark yet.

        Raises:
            RunDirectoryError: The folder holds something else, or the file is damaged.
        """
        try:
            data = read_regular_file(self.results_file, _LARGEST)
        except FileNotFoundError:
            self._check_free()
            return None
        except OSError as error:
            raise RunDirectoryError(f"cannot read {self.results_file}: {error.strerror}") from error
        try:
            return parse_results(data)
        except ValueError as error:
            raise RunDirectoryError(
                f"{self.results_file} is damaged, or not a result of bigan benchmark "
                f"({one_line(str(error))})",
                "remove it, or choose another output folder",
            ) from error

    def write_row(self, row: Mapping[str, Any]) -> None:
        """Write the result of one cell for the process that writes the results."""
        file = self._rows / f"{row['cell']}.json"
        write_text(file, json.dumps(row, allow_nan=False))

    def read_rows(self) -> list[dict[str, Any]]:
        """Return the rows that :meth:`write_row` wrote; :meth:`remove_row` removes them."""
        return [json.loads(file.read_bytes()) for file in sorted(self._rows.glob("*.json"))]

    def remove_row(self, cell: str) -> None:
        """Remove the file of a row that is in the results now."""
        (self._rows / f"{cell}.json").unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            self._rows.rmdir()

    def _check_free(self) -> None:
        """Refuse a folder that holds other files than those of a benchmark."""
        if self.path.exists() and not self.path.is_dir():
            raise RunDirectoryError(
                f"{self.path} is a file, not a folder", "choose another output folder"
            )
        found = sorted(p.name for p in self.path.glob("*") if not p.name.startswith("."))
        if found:
            raise RunDirectoryError(
                f"{self.path} holds other files ({found[0]}, ...), and no benchmark",
                "choose another output folder",
            )

    def write(self, document: Mapping[str, Any], table: str, page: str) -> None:
        """Write the results, each file whole or not at all.

        Args:
            document: Everything, as plain values.
            table: CSV, a row for each cell.
            page: Markdown.
        """
        text = json.dumps({"schema": SCHEMA, **document}, indent=2, allow_nan=False)
        write_text(self.results_file, text + "\n")
        write_text(self.table_file, table)
        write_text(self.page_file, page)
