"""Comparison of detectors on the same test images, by a paired bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

from bigan_cli.evaluation.metrics import (
    Bools,
    Estimate,
    Floats,
    auroc,
    average_precision,
    bootstrap,
    interval,
)


@dataclass(frozen=True)
class Difference:
    """Metrics of a detector minus those of another, with 95 % intervals.

    Attributes:
        auroc: Above 0 where the detector ranks better than the other.
        average_precision: Likewise.
    """

    auroc: Estimate
    average_precision: Estimate

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, or ``no clear difference`` where the interval of AUROC has 0."""
        if self.auroc.low > 0:
            return "better"
        return "worse" if self.auroc.high < 0 else "no clear difference"


def paired_difference(outlier: Bools, scores: Floats, others: Floats, seed: int) -> Difference:
    """Return how much better *scores* rank the images than *others* do.

    Both are resampled with the same images, so that what makes a sample easy or hard for both
    cancels (the paired bootstrap).

    Args:
        outlier: bool ``[N]``, the truth; both kinds must be present.
        scores: float64 ``[N]``.
        others: float64 ``[N]``, of the detector to compare with, in the same order.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: One kind of image is absent.
    """
    drawn, drawn_others = (bootstrap(outlier, each, seed=seed) for each in (scores, others))
    areas = [auroc(outlier, each) for each in (scores, others)]
    precisions = [average_precision(outlier, each) for each in (scores, others)]
    if drawn is None or drawn_others is None or None in (*areas, *precisions):
        raise ValueError("a comparison needs both normal images and anomalies")
    return Difference(
        interval(_gap(areas), drawn.auroc - drawn_others.auroc),
        interval(_gap(precisions), drawn.average_precision - drawn_others.average_precision),
    )


def _gap(values: list[float | None]) -> float:
    first, second = values
    return float(first or 0.0) - float(second or 0.0)
