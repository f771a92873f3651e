"""The table of a self-test: which synthetic defects are found, by kind and size."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.workflows.self_test import SelfTest


def show_self_test(terminal: Terminal, test: SelfTest) -> None:
    """Show a self-test as notes: a small table, and what it means."""
    terminal.note(
        f"self-test: synthetic defects found at a false-positive rate of {test.fpr:g}, of "
        f"{test.rows[0].total} each (in brackets by the untrained networks, by PCA on the pixels):"
    )
    kinds = list(dict.fromkeys(row.kind for row in test.rows))
    sizes = sorted({row.pixels for row in test.rows})
    cells = {(r.kind, r.pixels): f"{r.found} ({r.untrained}, {r.pca})" for r in test.rows}
    table = [
        ["", *(f"{size} pixels" for size in sizes)],
        *([kind, *(cells.get((kind, size), "") for size in sizes)] for kind in kinds),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        terminal.note(f"  {'  '.join(padded)}".rstrip())
    for remark in test.remarks():
        terminal.note(f"  {remark}")
