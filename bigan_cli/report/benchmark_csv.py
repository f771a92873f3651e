"""The results of a benchmark as CSV, one row per run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bigan_cli.report.benchmark import METRICS

Row = Mapping[str, Any]

_PLAIN = (
    "cell", "status", "error", "protocol", "dataset", "normal_classes", "anomalous_classes", "seed",
    "preset", "variant", "device", "machine", "threads", "precision", "epochs", "best_epoch",
    "evaluated_epoch", "auroc", "average_precision", "prevalence", "untrained_auroc",
    "untrained_average_precision", "training_seconds", "images_per_second", "peak_memory_bytes",
    "parameters", "data_fingerprint", "test_fingerprint", "commit", "command",
)  # fmt: skip


def as_csv(cells: Sequence[Row]) -> str:
    """Return CSV with a header and a row for each cell; lists are joined with `` + ``."""
    rows = [_flat(cell) for cell in cells]
    names = list(dict.fromkeys([*_PLAIN, *(name for row in rows for name in row)]))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(cell: Row) -> dict[str, Any]:
    row = {name: _text(cell.get(name)) for name in _PLAIN}
    for name, value in (cell.get("components") or {}).items():
        row[f"auroc_of_{name}"] = _text(value)
    for name, figures in (cell.get("baselines") or {}).items():
        for metric in METRICS:
            row[f"{name}_{metric}"] = _text(figures[metric])
    for name, version in (cell.get("versions") or {}).items():
        row[f"{name}_version"] = version
    return row


def _text(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return " + ".join(map(str, value)) if isinstance(value, list) else value
