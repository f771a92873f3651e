"""AUROC of each score component alone, from the rows of a benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


Line = tuple[str, Sequence[float | None]]


def component_table(by_networks: Mapping[str, Sequence[Row]]) -> tuple[tuple[str, ...], list[Line]]:
    """Return (headings, lines) of the mean AUROC of each component alone.

    Each is the mean over all finished runs that have the component, classes and seeds alike; and
    of the combined score, called ``score``. One kind of networks has a line for each
    component, trained and untrained, the best first; several have a line each, with a column
    for each component, trained. No lines if no run has figures of components.

    Args:
        by_networks: Name of the networks -> the rows of their runs.
    """
    found = {networks: component_rows(cells) for networks, cells in by_networks.items()}
    if len(found) == 1:
        (rows,) = found.values()
        return ("component", "trained", "untrained"), [(row[0], row[1:]) for row in rows]
    names = tuple(dict.fromkeys(row[0] for rows in found.values() for row in rows))
    lines: list[Line] = []
    for networks, rows in found.items():
        trained = {row[0]: row[1] for row in rows}
        if trained:
            lines.append((networks, [trained.get(name) for name in names]))
    return ("networks", *names), lines


def component_rows(cells: Sequence[Row]) -> list[tuple[str, float, float | None]]:
    """Return (component, mean AUROC, the same untrained) over *cells*, the best first.

    Each is the mean over all finished runs that have the component, classes and seeds alike; and
    of the combined score, called ``score``. Empty if no run has figures of components.
    """
    done = [cell for cell in cells if cell["status"] == "done" and cell.get("components")]
    names = dict.fromkeys(name for cell in done for name in cell["components"])
    trained = {name: _mean(cell["components"].get(name) for cell in done) for name in names}
    before = [cell.get("untrained_components") or {} for cell in done]
    untrained = {name: _mean(values.get(name) for values in before) for name in names}
    trained["score"] = _mean(cell["auroc"] for cell in done)
    untrained["score"] = _mean(cell["untrained_auroc"] for cell in done)
    # Without anomalies there is no AUROC.
    rows = [(name, mean, untrained[name]) for name, mean in trained.items() if mean is not None]
    return sorted(rows, key=lambda row: -row[1])


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.fmean(there) if there else None
