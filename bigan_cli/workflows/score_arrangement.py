"""What is done with the rows of a scoring when all are known: labels, order, selection."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bigan_cli.storage.score_table import ScoreRow
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.false_discoveries import control_false_discoveries
from bigan_cli.workflows.score_batches import Counts, Rule

if TYPE_CHECKING:
    from bigan_cli.scoring.detector import Detector

Batches = Iterable[list[ScoreRow]]


@dataclass(frozen=True)
class Arrangement:
    """The options of :func:`bigan_cli.workflows.score.score_files` that need all rows.

    Attributes:
        sort: Whether the most anomalous image comes first.
        top: How many of the most anomalous images are given; None for all.
        fdr: The false discovery rate that the labels control; None if each image is labelled
            alone.
    """

    sort: bool
    top: int | None
    fdr: float | None

    @property
    def of_all_rows(self) -> bool:
        """Whether the first row is known only when all are."""
        return self.sort or self.top is not None or self.fdr is not None

    def apply(
        self, batches: Batches, rule: Rule, detector: Detector, counts: Counts, callbacks: Callbacks
    ) -> tuple[Rule, Batches]:
        """Return the rule of the labels, and the rows to give."""
        if self.fdr is not None:
            controlled = control_false_discoveries(batches, detector, self.fdr)
            rule, batches = controlled.rule, [controlled.rows]
            counts.anomalies = controlled.anomalies
            if controlled.remark:
                callbacks.note(controlled.remark)
        if self.top is not None:
            return rule, [_most_anomalous(batches, self.top)]
        return rule, [_sorted(batches)] if self.sort else batches


def _most_anomalous(batches: Batches, number: int) -> list[ScoreRow]:
    """Return the rows with the highest scores, highest first; of equal ones, the first."""
    scored = (row for batch in batches for row in batch if row.score is not None)
    return heapq.nlargest(number, scored, key=_score)


def _sorted(batches: Batches) -> list[ScoreRow]:
    """Return all rows, highest score first; those without a score come last."""
    # The sort is stable.
    return sorted((row for batch in batches for row in batch), key=_score, reverse=True)


def _score(row: ScoreRow) -> float:
    return -math.inf if row.score is None else row.score
