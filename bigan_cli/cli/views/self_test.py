"""The table of a self-test: which synthetic defects are found, by kind and size."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.workflows.self_test_result import SelfTest


def show_self_test(terminal: Terminal, test: SelfTest) -> None:
    """Show a self-test as notes: a small table, and what it means."""
    total = test.rows[0].total
    height, width = test.image_size
    heading = (
        f"self-test: synthetic defects found at a false-positive rate of {test.fpr:g}, of {total} "
        f"each, by their length at the model's {height}x{width}"
    )
    table = _table(test, compared=True)
    compared = max(map(len, table)) <= terminal.width or not terminal.stderr_is_terminal
    if compared:
        heading += " (in brackets by the untrained networks, by PCA on the pixels)"
    else:
        table = _table(test, compared=False)
    terminal.note(f"{heading}:")
    for line in table:
        terminal.note(line)
    for remark in test.remarks():
        terminal.note(f"  {remark}")


def _table(test: SelfTest, *, compared: bool) -> list[str]:
    """Return the lines of the table: a row for each kind, a column for each size."""
    kinds = list(dict.fromkeys(row.kind for row in test.rows))
    sizes = sorted({row.pixels for row in test.rows})
    cells = {
        (r.kind, r.pixels): f"{r.found} ({r.untrained}, {r.pca})" if compared else str(r.found)
        for r in test.rows
    }
    unit = "pixels" if compared else "px"
    table = [
        ["", *(f"{size} {unit}" for size in sizes)],
        *([kind, *(cells.get((kind, size), "") for size in sizes)] for kind in kinds),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    padded = ("  ".join(map(str.ljust, row, widths)) for row in table)
    return [f"  {line}".rstrip() for line in padded]
