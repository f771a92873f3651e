"""The Markdown of a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def as_markdown(document: dict[str, Any]) -> str:
    """Return the page of one result: the tables, and all that is needed to judge them."""
    facts = {
        "date": document["date"],
        "command": f"`{document['command']}`",
        "commit": document["commit"]["hash"]
        + (" + changes" if document["commit"]["dirty"] else ""),
        "machine": machine_words(document),
        "versions": ", ".join(f"{name} {v}" for name, v in document["versions"].items()),
        "settings": ", ".join(f"{name} {value}" for name, value in document["settings"].items()),
    }
    quick = ["This was a quick run, to see that the benchmark works. It is no result.", ""]
    return "\n".join(
        [
            f"# {document['title']}",
            "",
            *(quick if document["quick"] else []),
            *tables(document),
            "",
            *(f"* {name}: {value}" for name, value in facts.items()),
        ]
    )


def tables(document: dict[str, Any]) -> list[str]:
    """Return the lines of the tables of a result, and its notes."""
    lines = _table(
        ("measured", "quantity", "median", "quartiles", "runs"),
        [
            (
                each["contender"],
                each["quantity"],
                figure(each["median"], each["unit"]),
                spread(each["quartiles"]),
                str(len(each["runs"])),
            )
            for each in document["measured"]
        ],
    )
    if document["checks"]:
        rows = [
            (
                each["figure"],
                figure(each["median"], each["unit"]),
                spread(each["quartiles"]),
                each["target"] or "",
                {True: "yes", False: "no", None: ""}[each["reached"]],
            )
            for each in document["checks"]
        ]
        lines += ["", *_table(("figure", "median", "quartiles", "target", "reached"), rows)]
    if document["notes"]:
        lines += ["", *(f"* {note}" for note in document["notes"])]
    return lines


def machine_words(document: dict[str, Any]) -> str:
    """Return the machine in one line."""
    facts = document["machine"]
    parts = [facts["cpu"], f"{facts['cores']} cores", f"{facts['memory_gib']:g} GiB"]
    return ", ".join([*parts, *([facts["gpu"]] if "gpu" in facts else []), facts["os"]])


def figure(value: float, unit: str) -> str:
    """Return a value and its unit, in as many digits as it is worth."""
    return f"{number(value)} {unit}".rstrip()


def spread(quartiles: Sequence[float]) -> str:
    """Return two quartiles."""
    return f"{number(quartiles[0])} to {number(quartiles[1])}"


def number(value: float) -> str:
    """Return four significant digits, or all of a whole number of more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(heading)
    return [f"| {' | '.join(cells)} |" for cells in (heading, rule, *rows)]
