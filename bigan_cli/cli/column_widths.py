"""Widths of a table's columns, which keep words whole if there is room."""

from __future__ import annotations

from collections.abc import Sequence

# A longer word (a path, a URL) may be folded.
_LONGEST_WORD = 30


def column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the width of each column; together they take at most *room* characters.

    Every column gets its longest word, the first one its longest cell, and the rest of the room
    goes to the columns that lack the most.

    Args:
        columns: The headings.
        rows: The cells.
        room: Characters for the cells of a row, one at least for each column.
    """
    cells = [[heading, *(row[place] for row in rows)] for place, heading in enumerate(columns)]
    natural = [max(_longest_line(cell) for cell in column) for column in cells]
    if sum(natural) <= room:
        return natural
    widths = [max(_longest_word(cell) for cell in column) for column in cells]
    widths[0] = min(natural[0], max(widths[0], _LONGEST_WORD))  # a name is typed as a whole
    while sum(widths) > room and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    for _ in range(room - sum(widths)):
        lacking = [want - width for want, width in zip(natural, widths, strict=True)]
        widths[lacking.index(max(lacking))] += 1
    return widths


def _longest_line(text: str) -> int:
    return max(map(_width, text.splitlines()), default=0)


def _longest_word(text: str) -> int:
    return min(max(map(_width, text.split()), default=0), _LONGEST_WORD)


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
