"""The table of an evaluation's metrics."""

from __future__ import annotations

from collections.abc import Iterator

from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.self_test import show_self_test
from bigan_cli.errors import GateFailed, UsageError
from bigan_cli.evaluation.detector_evaluation import Evaluation, Ranking
from bigan_cli.evaluation.metrics import Estimate, Rate
from bigan_cli.formatting import count
from bigan_cli.workflows.evaluation_result import EvaluationResult

COLUMNS = ("figure", "value", "95% low", "95% high", "of")


def figures_table(result: Evaluation) -> Iterator[tuple[object, ...]]:
    """Yield the cells of each row of :data:`COLUMNS`; the last says what was counted."""
    both = f"{result.normal_images:,} normal, {result.anomalies:,} anomalous"
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
    normals = count(point.calibration_images, "calibration image")
    yield "threshold", f"{point.threshold:.4f}", None, None, normals
    yield f"FPR to expect when set to {point.fpr:g}", *_cells(point.expected_fpr), normals
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
            yield f"AUROC of {kind} class {each.name}", *_cells(each.auroc), of


def _ranking_rows(ranking: Ranking, which: str, of: str) -> Iterator[tuple[object, ...]]:
    if ranking.auroc is not None:
        yield f"AUROC{which}", *_cells(ranking.auroc), of
    if ranking.average_precision is not None:
        yield f"average precision{which}", *_cells(ranking.average_precision), of
    if not which:
        for fpr, recall in ranking.recall.items():
            yield f"recall at {float(fpr):.0%} false positives", *_cells(recall), of


def _member_rows(result: Evaluation, of: str) -> Iterator[tuple[object, ...]]:
    if result.members is None:
        return
    for number, area in enumerate(result.members.auroc, 1):
        yield f"AUROC of member {number} alone", f"{area:.4f}", None, None, of
    members = count(len(result.members.auroc), "member")
    yield "AUROC of single members, mean", f"{result.members.mean:.4f}", None, None, members
    yield (
        *(
            "AUROC of single members, standard deviation",
            f"{result.members.standard_deviation:.4f}",
        ),
        *(None, None, members),
    )


def _pixel_rows(result: Evaluation) -> Iterator[tuple[object, ...]]:
    images = f"{count(result.masked_images, 'image')} with known masks"
    regions = f"{count(result.masked_regions, 'region')} in {images}"
    for which, ranking in (("", result.trained), (" untrained", result.untrained)):
        if ranking is None:
            continue
        if ranking.pixel_auroc is not None:
            yield (
                f"pixel AUROC{which}",
                f"{ranking.pixel_auroc:.4f}",
                None,
                None,
                f"pixels of {images}",
            )
        if ranking.pixel_aupro is not None:
            yield f"AUPRO{which}", f"{ranking.pixel_aupro:.4f}", None, None, regions


def _quantile_rows(result: Evaluation) -> Iterator[tuple[object, ...]]:
    groups = {
        "calibration": ("calibration images", result.operating_point.calibration_images),
        "normal_images": ("normal test images", result.normal_images),
        "anomalies": ("anomalous test images", result.anomalies),
    }
    words = {0.0: "lowest score", 0.5: "median score", 1.0: "highest score"}
    for group, values in result.quantiles.items():
        images, number = groups[group]
        for at, value in (values or {}).items():
            which = words.get(float(at), f"{float(at):.0%} quantile of the scores")
            yield f"{which} of {images}", f"{value:.4f}", None, None, count(number, "image")


def _cells(figure: Estimate | Rate) -> tuple[str, str, str]:
    return f"{figure.value:.4f}", f"{figure.low:.4f}", f"{figure.high:.4f}"


def show_evaluation(terminal: Terminal, result: EvaluationResult, *, as_json: bool) -> None:
    """Print the metrics, remarks on them, and the files written."""
    if as_json:
        terminal.json(result.as_dict())
    else:
        terminal.table(COLUMNS, figures_table(result.evaluation))
        if result.self_test is not None:
            show_self_test(terminal, result.self_test)
    for text in result.remarks:
        terminal.note(text)
    for text in result.warnings:
        terminal.warn(text)
    if result.files and result.write_error is None:
        names = ", ".join(path.name for path in result.files)
        terminal.note(f"written to {result.files[0].parent}: {names}")
    if result.report is not None:
        terminal.note(f"report: {result.report}")


def check_min_auroc(min_auroc: float | None) -> None:
    """Raise UsageError if the wanted AUROC is out of range."""
    if min_auroc is not None and not 0 <= min_auroc <= 1:
        raise UsageError(f"--min-auroc {min_auroc:g} is not between 0 and 1")


def check_gate(result: EvaluationResult, min_auroc: float | None) -> None:
    """Raise GateFailed if the AUROC is below the wanted one, or does not exist."""
    if min_auroc is None:
        return
    if result.auroc is None:
        raise GateFailed(f"--min-auroc {min_auroc:g}: AUROC needs both normal images and anomalies")
    if result.auroc.value < min_auroc:
        raise GateFailed(f"AUROC {result.auroc.value:.4f} is below --min-auroc {min_auroc:g}")
