"""Labels of a whole batch that control the share of false alarms among its anomalies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bigan_cli.scoring.false_discovery import benjamini_hochberg
from bigan_cli.storage.score_table import ANOMALY, NORMAL, ScoreRow
from bigan_cli.workflows.score_batches import Rule

if TYPE_CHECKING:
    from bigan_cli.scoring.detector import Detector


@dataclass(frozen=True)
class Controlled:
    """The rows of a batch, labelled together.

    Attributes:
        rows: All rows, in their order.
        rule: The rule for single images that gives these labels.
        anomalies: How many are anomalous.
        remark: Why there may be none; empty if there is nothing to say.
    """

    rows: list[ScoreRow]
    rule: Rule
    anomalies: int
    remark: str


def control_false_discoveries(
    batches: Iterable[Sequence[ScoreRow]], detector: Detector, rate: float
) -> Controlled:
    """Return all rows of *batches*, labelled by :func:`benjamini_hochberg` at *rate*."""
    rows = [row for batch in batches for row in batch]
    p_values = np.array([row.p_value for row in rows if row.p_value is not None], np.float64)
    calibration = detector.calibration
    chosen = benjamini_hochberg(p_values, rate)
    if not chosen.any():
        highest = max([row.score for row in rows if row.score is not None], default=0.0)
        limit = max(highest, float(calibration.scores[-1]))
        rule, remark = Rule(None, limit, limit), _why_none(len(p_values), calibration.n, rate)
    else:
        fpr = float(p_values[chosen].max())
        rule, remark = Rule(fpr, None, calibration.threshold(fpr)), ""
    labels = iter(np.where(chosen, ANOMALY, NORMAL).tolist())
    labelled = [row if row.p_value is None else replace(row, label=next(labels)) for row in rows]
    return Controlled(labelled, rule, int(chosen.sum()), remark)


def _why_none(images: int, calibration: int, rate: float) -> str:
    """Return what limits the number of anomalies that can be found."""
    needed = math.ceil(images / (rate * (calibration + 1)))
    if needed <= 1:
        return ""
    return (
        f"with {calibration:,} calibration images, {needed:,} of {images:,} images must score "
        f"above all of these to be found at a false discovery rate of {rate:g}"
    )
