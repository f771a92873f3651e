"""Puts the published results of ``bigan benchmark`` into docs/results.md and README.md.

``results/detection-NAME.json`` is the results.json of a benchmark. It goes between
``<!-- results:NAME -->`` and ``<!-- /results -->``: every table of it, or, after
``<!-- results:NAME summary -->``, the means over the classes alone. ``NAME+NAME`` there makes one
table of several, whose rows have these names.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import RESULTS
from machine import ROOT

sys.path.insert(0, str(ROOT))  # of this checkout, whatever is installed

from bigan_cli.report.benchmark import markdown, summary_lines

PAGE = ROOT / "docs" / "results.md"
DOCUMENTS = (PAGE, ROOT / "README.md")
_PREFIX = "detection-"
_NOT_MEASURED = "Not measured yet."
_BLOCK = re.compile(
    r"(?P<head><!-- results:(?P<names>[\w+-]+)(?P<summary> summary)? -->)\n.*?<!-- /results -->",
    re.DOTALL,
)


def main() -> int:
    """Write the documents, or with --check say whether they agree with the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if they differ")
    return update(DOCUMENTS, RESULTS, check=parser.parse_args().check)


def update(documents: Sequence[Path], results: Path, *, check: bool) -> int:
    """Put the results of a folder into *documents*, the first of which has a place for each.

    Returns:
        The exit code: 1 where a result has no place, or, with *check*, a document differs.
    """
    places = {found["names"] for found in _BLOCK.finditer(documents[0].read_text("utf-8"))}
    for name in sorted(names_of(results) - places):
        print(f"{documents[0].name} has no place for {_PREFIX}{name}", file=sys.stderr)
        return 1
    code = 0
    for document in documents:
        text = document.read_text(encoding="utf-8")
        made = render(text, results)
        if made == text:
            continue
        if check:
            print(f"{document.name} differs from the results: run benchmarks/results_page.py")
            code = 1
        else:
            document.write_text(made, encoding="utf-8")
    return code


def render(text: str, results: Path) -> str:
    """Return the document *text* with the results of a folder between its markers."""

    def block(found: re.Match[str]) -> str:
        paths = {n: results / f"{_PREFIX}{n}.json" for n in found["names"].split("+")}
        there = {n: json.loads(p.read_text("utf-8")) for n, p in paths.items() if p.exists()}
        if found["summary"] and there:
            lines = summary(there)
        else:
            lines = [line for document in there.values() for line in section(document)]
        lines = lines or [_NOT_MEASURED]
        return "\n".join([found["head"], "", *lines, "", "<!-- /results -->"])

    return _BLOCK.sub(block, text)


def names_of(results: Path) -> set[str]:
    """Return the names of the results in a folder."""
    return {path.stem.removeprefix(_PREFIX) for path in results.glob(f"{_PREFIX}*.json")}


def section(document: dict[str, Any]) -> list[str]:
    """Return the lines of one benchmark: the command that repeats it, and all its tables."""
    return [_origin(document), "", *markdown(document["cells"], heading="###")]


def summary(documents: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return the lines of the means alone, of one benchmark or several by their names."""
    cells = [
        {**cell, "dataset": name if len(documents) > 1 else cell["dataset"]}
        for name, document in documents.items()
        for cell in document["cells"]
    ]
    origins = [f"* {_origin(document)}" for document in documents.values()]
    return [*summary_lines(cells), "", *origins]


def _origin(document: dict[str, Any]) -> str:
    return f"`{document['command']}`, finished on {str(document['date'])[:10]}."


if __name__ == "__main__":
    sys.exit(main())
