"""Puts the results into docs/performance.md, between the markers of each.

A result ``NAME.json`` goes between ``<!-- NAME -->`` and ``<!-- /NAME -->``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from harness import RESULTS
from machine import ROOT
from tables import machine_words, tables

DOCUMENT = ROOT / "docs" / "performance.md"
_DETECTION = "detection-"  # those of results_page.py
_NOT_MEASURED = "Not measured yet."
_BLOCK = re.compile(r"<!-- (?P<name>[\w-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)


def main() -> int:
    """Write the document, or with --check say whether it agrees with the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it differs")
    check = parser.parse_args().check
    text = DOCUMENT.read_text(encoding="utf-8")
    made = render(text, RESULTS)
    for name in sorted(names_of(RESULTS) - set(marked(text))):
        print(f"{DOCUMENT.name} has no place for {name}", file=sys.stderr)
        return 1
    if check:
        if made != text:
            print(f"{DOCUMENT.name} differs from the results: run benchmarks/render.py")
        return int(made != text)
    DOCUMENT.write_text(made, encoding="utf-8")
    return 0


def render(text: str, results: Path) -> str:
    """Return the document *text* with the results of a folder between its markers."""

    def block(found: re.Match[str]) -> str:
        name = found["name"]
        path = results / f"{name}.json"
        lines = section(json.loads(path.read_text("utf-8"))) if path.exists() else [_NOT_MEASURED]
        return "\n".join([f"<!-- {name} -->", "", *lines, "", f"<!-- /{name} -->"])

    return _BLOCK.sub(block, text)


def marked(text: str) -> list[str]:
    """Return the names that the document has a place for."""
    return [found["name"] for found in _BLOCK.finditer(text)]


def names_of(results: Path) -> set[str]:
    """Return the names of the results of performance in a folder."""
    found = {path.stem for path in results.glob("*.json")}
    return {name for name in found if not name.startswith(_DETECTION)}


def section(document: dict[str, object]) -> list[str]:
    """Return the lines of one result: where it comes from, and its tables."""
    commit = document["commit"]
    assert isinstance(commit, dict)
    changed = " with changes" if commit["dirty"] else ""
    versions = document["versions"]
    assert isinstance(versions, dict)
    software = ", ".join(f"{name} {versions[name]}" for name in ("bigan", "python", "torch"))
    origin = (
        f"`{document['command']}` on {str(document['date'])[:10]}, commit "
        f"{str(commit['hash'])[:10]}{changed}, {software}; {machine_words(document)}."
    )
    return [origin, "", *tables(document)]


if __name__ == "__main__":
    sys.exit(main())
