"""An evaluation in words: a table of its figures, and what they do not say by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bigan_cli.evaluation.evaluation import Evaluation, Ranking
from bigan_cli.evaluation.metrics import Estimate, Rate
from bigan_cli.formatting import count
from bigan_cli.model.diagnostics import WARMUP_STEPS, TrainingWarning, alarms
from bigan_cli.scoring.ensemble_member import Origin
from bigan_cli.storage.model_header import ModelHeader

COLUMNS = ("figure", "value", "95% low", "95% high", "of")

# With an AUROC beyond this there is little left to gain.
_SOLVED = 0.99

# Of fewer images than this, resampling cannot tell how much others like them would differ.
_FEW = 20


def figures_table(result: Evaluation) -> Iterator[tuple[object, ...]]:
    """Yield the cells of :data:`COLUMNS`: the last one says what was counted."""
    both = f"{result.normals:,} normal, {result.anomalies:,} anomalous"
    yield from _ranking_rows(result.trained, "", both)
    if result.untrained is not None:
        yield from _ranking_rows(result.untrained, " untrained", both)
    yield from _member_rows(result, both)
    yield from _pixel_rows(result)
    if result.gain is not None:
        yield "AUROC gained by training", *_cells(result.gain), both
    if result.prevalence is not None:
        yield "prevalence", f"{result.prevalence:.4f}", None, None, count(result.images, "image")
    yield from _rate_rows(result)
    for name, area in result.trained.components.items():
        if area is not None:
            yield f"AUROC of {name}", f"{area:.4f}", None, None, both
    yield from _class_rows(result)
    if result.trained.auroc is None:
        yield from _quantile_rows(result)


def _rate_rows(result: Evaluation) -> Iterator[tuple[object, ...]]:
    point = result.operating_point
    normals = count(point.calibration_images, "calibration normal")
    yield "threshold", f"{point.threshold:.4f}", None, None, normals
    yield f"FPR expected at {point.fpr:g}", *_cells(point.expected_fpr), normals
    for name, rate in (
        ("FPR", point.observed_fpr),
        ("TPR", point.observed_tpr),
        ("precision", point.precision),
    ):
        if rate is not None:
            yield name, *_cells(rate), f"{rate.count:,} of {rate.total:,}"


def _class_rows(result: Evaluation) -> Iterator[tuple[object, ...]]:
    normal_classes = sum(not each.outlier for each in result.classes)
    for each in result.classes:
        # One normal class alone would repeat the AUROC of the whole.
        if each.auroc is not None and (each.outlier or normal_classes > 1):
            kind = "anomalous" if each.outlier else "normal"
            of = f"{each.flagged.count:,} of {each.flagged.total:,} flagged"
            yield f"AUROC of {kind} class {each.name}", f"{each.auroc:.4f}", None, None, of


def _ranking_rows(ranking: Ranking, which: str, of: str) -> Iterator[tuple[object, ...]]:
    if ranking.auroc is not None:
        yield f"AUROC{which}", *_cells(ranking.auroc), of
    if ranking.average_precision is not None:
        yield f"average precision{which}", *_cells(ranking.average_precision), of


def _member_rows(result: Evaluation, of: str) -> Iterator[tuple[object, ...]]:
    if result.members is None:
        return
    for number, area in enumerate(result.members.auroc, 1):
        yield f"AUROC of member {number} alone", f"{area:.4f}", None, None, of
    members = count(len(result.members.auroc), "member")
    yield "AUROC of single members, mean", f"{result.members.mean:.4f}", None, None, members
    yield (
        *("AUROC of single members, standard deviation", f"{result.members.spread:.4f}"),
        *(None, None, members),
    )


def _pixel_rows(result: Evaluation) -> Iterator[tuple[object, ...]]:
    of = f"pixels of {count(result.masked_images, 'image')} with known masks"
    for which, ranking in (("", result.trained), (" untrained", result.untrained)):
        if ranking is not None and ranking.pixel_auroc is not None:
            yield f"pixel AUROC{which}", f"{ranking.pixel_auroc:.4f}", None, None, of


def _quantile_rows(result: Evaluation) -> Iterator[tuple[object, ...]]:
    sizes = {
        "calibration": result.operating_point.calibration_images,
        "normals": result.normals,
        "anomalies": result.anomalies,
    }
    for group, values in result.quantiles.items():
        for at, value in (values or {}).items():
            name = f"score quantile {at} of {group}"
            yield name, f"{value:.4f}", None, None, count(sizes[group], "image")


def _cells(figure: Estimate | Rate) -> tuple[str, str, str]:
    return f"{figure.value:.4f}", f"{figure.low:.4f}", f"{figure.high:.4f}"


def remarks(result: Evaluation) -> Iterator[str]:
    """Yield what is worth knowing."""
    if result.trained.auroc is not None:
        if _gained_nothing(result) and result.trained.auroc.value >= _SOLVED:
            yield "the untrained network tells these anomalies apart as well: they are easy"
        return
    missing = "no test images"
    if result.images:
        missing = "no anomalies" if not result.anomalies else "no normal images"
    point, expected = result.operating_point, result.operating_point.expected_fpr
    yield (
        f"AUROC cannot be known: there are {missing} to test with. The threshold rests on "
        f"{count(point.calibration_images, 'calibration normal')}: of new normal images like "
        f"them, {expected.value:.1%} are expected to be called anomalous (95 % interval "
        f"{expected.low:.1%} to {expected.high:.1%})"
    )


def warnings(result: Evaluation) -> Iterator[str]:
    """Yield what may be wrong."""
    gain, area = result.gain, result.trained.auroc
    if gain and area and _gained_nothing(result) and area.value < _SOLVED:
        yield (
            f"training gained nothing that can be told from chance: AUROC {gain.value:+.3f} "
            f"(95 % interval {gain.low:+.3f} to {gain.high:+.3f}) over the untrained network"
        )
    few = min(result.normals, result.anomalies)
    if area and few < _FEW:
        kind = ("anomaly", "anomalies") if few == result.anomalies else ("normal image",)
        yield (
            f"there {'is' if few == 1 else 'are'} only {count(few, *kind)} to test with: the "
            "intervals of AUROC and average precision are narrower than what is known"
        )
    point, expected = result.operating_point, result.operating_point.expected_fpr
    if point.surprising and point.observed_fpr is not None:
        yield (
            f"{point.observed_fpr.value:.1%} of the test normals are called anomalous, where "
            f"{expected.low:.1%} to {expected.high:.1%} was to be expected: they differ from the "
            "normals that the model was calibrated with"
        )
    if result.images >= 20 and result.distinct_scores < result.images / 10:
        yield (
            f"{result.images:,} images got only {result.distinct_scores:,} different scores: the "
            "networks may have collapsed"
        )


def health_document(header: ModelHeader) -> list[dict[str, Any]]:
    """Return what the members of a model showed in training, and what is wrong with each."""
    return [
        {
            "seed": origin.seed,
            "epoch": origin.epoch,
            "signs": None if origin.health is None else origin.health.as_dict(),
            "alarms": [alarm.as_dict() for alarm in _alarms(origin)],
        }
        for origin in (member.origin for member in header.members)
    ]


def health_warnings(header: ModelHeader) -> Iterator[str]:
    """Yield what was wrong with the members of a model when it was saved."""
    for number, member in enumerate(header.members, 1):
        which = f"member {number}, " if len(header.members) > 1 else ""
        for alarm in _alarms(member.origin):
            yield f"{which}when this model was saved: {alarm}"
        health = member.origin.health
        if health is not None and 0 < health.steps < WARMUP_STEPS:
            yield (
                f"{which}trained for {count(health.steps, 'step')} alone, too few to judge whether "
                "the networks have collapsed: look at reconstruction/comparison, raise --epochs"
            )


def _alarms(origin: Origin) -> tuple[TrainingWarning, ...]:
    return () if origin.health is None else alarms(origin.health)


def _gained_nothing(result: Evaluation) -> bool:
    return result.gain is not None and result.gain.low <= 0
