"""Lines that fit a terminal without breaking a word."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_INDENT = "  "


def wrap(text: str, width: int) -> str:
    """Return *text* with lines of at most *width* columns, broken between words only.

    Continuation lines are indented as their first line is. A word that is longer than a line,
    a path for instance, stays whole.
    """
    return "\n".join(_wrap_line(line, width) for line in text.split("\n"))


def wrap_command(label: str, words: Sequence[str], width: int | None) -> str:
    """Return ``label: command`` such that the command can be copied from a terminal.

    Args:
        label: What the command is for.
        words: The command and its arguments, unquoted.
        width: Columns of the terminal; None for one line. A command that does not fit gets lines
            of its own, with a backslash at the end of each but the last.
    """
    import shlex  # not needed for help

    quoted = [shlex.quote(word) for word in words]
    line = f"{label}: {' '.join(quoted)}"
    if width is None or len(line) <= width:
        return line
    lines = [quoted[0]]
    for word in quoted[1:]:
        if len(f"{_INDENT}{lines[-1]} {word} \\") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{_INDENT}{word}")
    return f"{label}:\n" + " \\\n".join(f"{_INDENT}{each}" for each in lines)


def _wrap_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(
        textwrap.wrap(
            line,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
            expand_tabs=False,
        )
    )
