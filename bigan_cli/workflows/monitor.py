"""Monitoring: are newly scored images still like the calibration images of their model?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.errors import DataError, UsageError
from bigan_cli.evaluation.drift import detect_drift
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.storage.read_scores import ReadScores, read_scores
from bigan_cli.workflows.models import find_model

# The images whose values are described.
_RECENT = 200
# How many of the first images are the reference where the calibration images cannot be it.
_FIRST = 100
# The false-positive rate of cross-fitting is approximate: this many times as much is no surprise.
_TOLERANCE = 2.0
# Fewer rows may be in descending order by chance.
_SURELY_SORTED = 20


@dataclass(frozen=True)
class TestedValue:
    """The score, or one of its components, compared with the calibration images.

    Attributes:
        name: ``score``, or the component.
        reference_median: Of the images that it is compared with.
        median: Of the latest images, up to 200.
        evidence: The capital won by betting against no drift, at its highest.
        alarm: The number of the image at which the evidence reached the limit, from 1, or None.
    """

    name: str
    reference_median: float
    median: float
    evidence: float
    alarm: int | None


@dataclass(frozen=True)
class DriftReport:
    """The outcome of monitoring.

    Attributes:
        images: How many rows have a score.
        skipped: How many have none.
        reference: How many images the others are compared with.
        reference_source: ``calibration images``, or ``first images`` if these are the first of
            the file itself.
        reference_flagged: The share of the first images with a p-value of at most *fpr*, if they
            are the reference, else None.
        reference_drifted: Whether that is far too much: the images had drifted before the first.
        false_alarm_rate: The probability that there is ever an alarm without drift.
        limit: The evidence that raises an alarm: the number of tested values divided by
            *false_alarm_rate*, by Bonferroni's inequality.
        alarm: The number of the image that raised the first, from 1; None without an alarm.
        alarm_path: That image.
        fpr: The model's false-positive rate.
        flagged: The share of images with a p-value of at most *fpr*.
        values: The score and its components, the one with the most evidence first.
    """

    images: int
    skipped: int
    reference: int
    reference_source: str
    reference_flagged: float | None
    reference_drifted: bool
    false_alarm_rate: float
    limit: float
    alarm: int | None
    alarm_path: str | None
    fpr: float
    flagged: float
    values: tuple[TestedValue, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values for JSON."""
        return {"drift": self.alarm is not None, **asdict(self)}


def monitor(
    scores: Path,
    *,
    run: Path,
    checkpoint: str = "best",
    false_alarm_rate: float = 0.01,
    reference: int | None = None,
) -> DriftReport:
    """Test whether scored images still come from the source of the calibration images.

    Scores of cross-fitting come from other networks than those of new images, so the two are not
    exchangeable even without drift. The first images of the file are the reference then: a drift
    since those is noticed, and one before them if far too many of them are flagged.

    Args:
        scores: A .csv, .jsonl or .parquet file of scores, in the order in which the images
            arrived. Most of them should be normal.
        run: The run directory or the model file that they were scored with.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        false_alarm_rate: The probability that there is ever an alarm without drift, however long
            the file grows and however often it is tested.
        reference: How many of the first images are the reference; 0 for the calibration images,
            None for these unless they are cross-fitted, and 100 if they are.

    Raises:
        UsageError: The rows are sorted, or come from another model; *reference* is negative, or
            0 although the calibration images are cross-fitted.
        DataError: The file is no table of scores, or has none.
    """
    if not 0 < false_alarm_rate < 1:
        raise UsageError(f"'false_alarm_rate={false_alarm_rate:g}' is not between 0 and 1")
    source = find_model(run, checkpoint)
    rows = read_scores(scores)
    if not len(rows.score):
        raise DataError(f"{scores} has no scores yet")

    from bigan_cli.storage.model_file import load_calibration
    from bigan_cli.storage.model_header import read_model_file

    model = read_model_file(source.file)
    calibration, components = load_calibration(model)
    _check_rows(scores, rows, source.file, calibration, model.header.members[0].components)
    first = _first_images(reference, cross_fitted=calibration.cross_fitted)
    if first >= len(rows.score):
        raise DataError(
            f"{scores} has {len(rows.score):,} scores, and the first {first:,} are what later "
            "ones are compared with",
            "wait for more images, or set a smaller 'reference'",
        )
    normal = {"score": calibration.scores, **components}
    new = {"score": rows.score, **rows.components}
    rate = false_alarm_rate / len(normal)
    values = [
        _test(name, new[name][:first] if first else normal[name], new[name][first:], rate, first)
        for name in normal
    ]
    alarm = min((each.alarm for each in values if each.alarm is not None), default=None)
    fpr = model.header.default_fpr
    flagged = rows.p_value <= fpr
    drifted = bool(first) and _is_far_too_much(flagged[:first], fpr, false_alarm_rate)
    if drifted:
        alarm = first
    return DriftReport(
        images=len(rows.score),
        skipped=rows.skipped,
        reference=first or calibration.n,
        reference_source="first images" if first else "calibration images",
        reference_flagged=float(flagged[:first].mean()) if first else None,
        reference_drifted=drifted,
        false_alarm_rate=false_alarm_rate,
        limit=1 / rate,
        alarm=alarm,
        alarm_path=None if alarm is None else rows.paths[alarm - 1],
        fpr=fpr,
        flagged=float(flagged.mean()),
        values=tuple(sorted(values, key=lambda each: -each.evidence)),
    )


def _first_images(reference: int | None, *, cross_fitted: bool) -> int:
    """Return how many of the first images are the reference; 0 for the calibration images."""
    if reference is None:
        return _FIRST if cross_fitted else 0
    if reference < 0:
        raise UsageError(f"'reference={reference}' is negative")
    if reference == 0 and cross_fitted:
        raise UsageError(
            "'reference=0' compares with the calibration images, which were scored by other "
            "networks (cross-fitting)",
            "set it to a number of first images, or hold images out: 'bigan recalibrate'",
        )
    return reference


def _is_far_too_much(flagged: NDArray[np.bool_], fpr: float, false_alarm_rate: float) -> bool:
    """Return whether so many flagged images are improbable even at a multiple of the rate."""
    from scipy.special import bdtrc

    rate = min(_TOLERANCE * fpr, 1.0)
    return float(bdtrc(int(flagged.sum()) - 1, len(flagged), rate)) <= false_alarm_rate


def _test(
    name: str,
    normal: NDArray[np.float64],
    new: NDArray[np.float64],
    false_alarm_rate: float,
    rows_before: int,
) -> TestedValue:
    found = detect_drift(normal, new, false_alarm_rate)
    return TestedValue(
        name,
        reference_median=float(np.median(normal)),
        median=float(np.median(new[-_RECENT:])),
        evidence=float(found.capital.max()),
        alarm=None if found.alarm is None else rows_before + found.alarm + 1,
    )


def _check_rows(
    scores: Path,
    rows: ReadScores,
    model: Path,
    calibration: Calibration,
    components: Collection[str],
) -> None:
    if not all(np.isfinite(each).all() for each in (rows.score, *rows.components.values())):
        raise DataError(f"{scores} has scores that are not finite")
    if rows.components.keys() != set(components):
        raise _other_model(scores, model)
    # Rounding of a text is no difference, another calibration set is.
    if not np.allclose(calibration.p_values(rows.score), rows.p_value, rtol=0, atol=1e-9):
        raise _other_model(scores, model)
    if len(rows.score) >= _SURELY_SORTED and (np.diff(rows.score) <= 0).all():
        raise UsageError(
            f"the rows of {scores} are sorted by score", "score without 'sort=True': order matters"
        )


def _other_model(scores: Path, model: Path) -> UsageError:
    return UsageError(
        f"the rows of {scores} were not scored with {model}",
        "name the run or the model file that they were scored with: 'run=DIR'",
    )
