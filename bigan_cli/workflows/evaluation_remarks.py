"""Remarks and warnings: what the metrics of an evaluation do not say by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bigan_cli.evaluation.detector_evaluation import Evaluation
from bigan_cli.formatting import count
from bigan_cli.model.diagnostics import WARMUP_STEPS, TrainingWarning, training_warnings
from bigan_cli.scoring.ensemble_member import TrainingProvenance
from bigan_cli.storage.model_header import ModelHeader

# Above this AUROC there is little left to gain.
_SOLVED = 0.99

# With fewer images than this, the bootstrap underestimates how much others like them would differ.
_FEW = 20


def remarks(result: Evaluation) -> Iterator[str]:
    """Yield explanations of the metrics."""
    point = result.operating_point
    if point.calibration == "cross-fitting":
        yield (
            f"threshold set by cross-fitting on {count(point.calibration_images, 'image')}: each "
            "was scored by networks that were trained without it. The false-positive rate is "
            f"{point.promise}"
        )
    if result.trained.auroc is not None:
        if _gained_nothing(result) and result.trained.auroc.value >= _SOLVED:
            yield "the untrained network separates these anomalies as well: they are easy"
        return
    missing = "no test images"
    if result.images:
        missing = "no anomalies" if not result.anomalies else "no normal images"
    expected = point.expected_fpr
    yield (
        f"AUROC cannot be computed: there are {missing} to test with. The threshold is based on "
        f"{count(point.calibration_images, 'calibration image')}: of new normal images like "
        f"them, {expected.value:.1%} are expected to be called anomalous (95 % interval "
        f"{expected.low:.1%} to {expected.high:.1%})"
    )


def metric_warnings(result: Evaluation) -> Iterator[str]:
    """Yield warnings about the data and about the effect of training."""
    gain, area = result.gain, result.trained.auroc
    if gain and area and _gained_nothing(result) and area.value < _SOLVED:
        yield (
            f"training did not improve significantly on the untrained network: AUROC "
            f"{gain.value:+z.3f} (95 % interval {gain.low:+z.3f} to {gain.high:+z.3f})"
        )
    few = min(result.normal_images, result.anomalies)
    if area and few < _FEW:
        kind = ("anomaly", "anomalies") if few == result.anomalies else ("normal image",)
        yield (
            f"there {'is' if few == 1 else 'are'} only {count(few, *kind)} to test with: the "
            "intervals of AUROC and average precision are narrower than they should be; add test "
            f"images, at least {_FEW} of each kind, before you compare runs by them"
        )
    point, expected = result.operating_point, result.operating_point.expected_fpr
    if point.surprising and point.observed_fpr is not None:
        yield (
            f"{point.observed_fpr.value:.1%} of the normal test images are called anomalous, but "
            f"{expected.low:.1%} to {expected.high:.1%} were expected: they differ from the "
            "calibration images"
        )
    if result.images >= 20 and result.distinct_scores < result.images / 10:
        yield (
            f"{result.images:,} images got only {result.distinct_scores:,} different scores: the "
            "networks may have collapsed"
        )


def member_diagnostics(header: ModelHeader) -> list[dict[str, Any]]:
    """Return the training diagnostics and warnings of each ensemble member."""
    return [
        {
            "seed": provenance.seed,
            "epoch": provenance.epoch,
            "values": None if provenance.diagnostics is None else provenance.diagnostics.as_dict(),
            "warnings": [warning.as_dict() for warning in _training_warnings(provenance)],
        }
        for provenance in (member.provenance for member in header.members)
    ]


def member_warnings(header: ModelHeader) -> Iterator[str]:
    """Yield warnings about the training of each ensemble member."""
    for number, member in enumerate(header.members, 1):
        which = f"member {number}, " if len(header.members) > 1 else ""
        for warning in _training_warnings(member.provenance):
            yield f"{which}when this model was saved: {warning}"
        diagnostics = member.provenance.diagnostics
        if diagnostics is not None and 0 < diagnostics.steps < WARMUP_STEPS:
            yield (
                f"{which}trained for only {count(diagnostics.steps, 'step')}, too few to judge "
                "whether the networks have collapsed: look at reconstruction/comparison, raise "
                "'train.epochs'"
            )


def _training_warnings(provenance: TrainingProvenance) -> tuple[TrainingWarning, ...]:
    return () if provenance.diagnostics is None else training_warnings(provenance.diagnostics)


def _gained_nothing(result: Evaluation) -> bool:
    return result.gain is not None and result.gain.low <= 0
