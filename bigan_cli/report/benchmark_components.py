"""What each score component does by itself, from the rows of a benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def component_rows(cells: Sequence[Row]) -> list[tuple[str, float, float | None]]:
    """Return (component, mean AUROC, the same untrained) over *cells*, the best first.

    Each is the mean over all finished runs that have the component, classes and seeds alike; of
    the combined score as well, called ``score``. Empty where no run tells of its components.
    """
    done = [cell for cell in cells if cell["status"] == "done" and cell.get("components")]
    names = dict.fromkeys(name for cell in done for name in cell["components"])
    rows = [(name, *_means(done, name)) for name in names]
    if rows:
        untrained = [c["untrained_auroc"] for c in done if c["untrained_auroc"] is not None]
        whole = statistics.fmean(cell["auroc"] for cell in done)
        rows.append(("score", whole, statistics.fmean(untrained) if untrained else None))
    return sorted(rows, key=lambda row: -row[1])


def _means(cells: Sequence[Row], name: str) -> tuple[float, float | None]:
    trained = [cell["components"][name] for cell in cells if name in cell["components"]]
    before = [cell.get("untrained_components") or {} for cell in cells]
    untrained = [values[name] for values in before if values.get(name) is not None]
    return statistics.fmean(trained), statistics.fmean(untrained) if untrained else None
