"""A table of scores that grows as images arrive, and continues after a kill.

The rows are in the output itself, so that others can read them while it grows. What they were
computed with is in ``scores.csv.watch`` beside it, the same :class:`Header` that a partial output
of ``bigan score`` begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bigan_cli.atomic import refuse_link, write_text
from bigan_cli.errors import UsageError
from bigan_cli.storage.completed_inputs import CompletedInputs, copy_complete_rows
from bigan_cli.storage.partial_output import Header
from bigan_cli.storage.score_table import RowFormat


def header_path(output: Path) -> Path:
    """Return the file beside *output* that says what its rows were computed with."""
    return output.with_name(f"{output.name}.watch")


def continue_output(
    output: Path,
    header: Header,
    row_format: RowFormat,
    on_row: Callable[[str, str], object] | None = None,
) -> CompletedInputs:
    """Make *output* ready for appending, and return the inputs that have a row.

    A truncated last line is dropped, and so are the rows of inputs that could not be scored:
    these are tried again.

    Args:
        output: The table; it is created if it is missing.
        header: What new rows are computed with.
        row_format: How rows become lines.
        on_row: Called with the path and the label of each row.

    Raises:
        UsageError: The rows come from another model or threshold, or the file is damaged.
    """
    beside = header_path(output)
    if not output.exists() or not output.stat().st_size:
        # First: rows without it could not be trusted.
        write_text(beside, header.line())
        write_text(output, "" if row_format.header is None else row_format.header + "\n")
        return CompletedInputs()
    if not beside.exists():
        raise UsageError(
            f"{output} was not written by 'bigan watch'", "name a new output for the rows"
        )
    header.check(beside.read_text(encoding="utf-8"), output)
    return copy_complete_rows(output, output, row_format, len(header.components), on_row)


@contextmanager
def growing_output(output: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that appends the lines of a batch to *output*; never through a link.

    Raises:
        OSError: It cannot be written, or is a link.
    """
    refuse_link(output)
    with output.open("a", encoding="utf-8", newline="") as stream:

        def write(lines: str) -> None:
            stream.write(lines + "\n")
            stream.flush()  # to the operating system, so that a killed process loses nothing

        yield write
