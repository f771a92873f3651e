"""Comparison of evaluated runs on the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bigan_cli.errors import DataError, UsageError
from bigan_cli.evaluation.comparison import Difference, paired_difference
from bigan_cli.evaluation.metrics import Estimate, Rate, bootstrap, interval, rate
from bigan_cli.evaluation.metrics import auroc as area_under_curve
from bigan_cli.storage.evaluation_record import (
    EvaluatedImages,
    EvaluationRecord,
    read_evaluation,
    read_scores,
)
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.reports.facts import check_report_file


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        run: The run directory.
        fpr: The false-positive rate that its threshold was set for.
        threshold: Scores above it are flagged.
        auroc: With a bootstrap interval.
        false_positives: Normal images that it flags.
        true_positives: Anomalies that it flags.
        difference: Its metrics minus those of the first run; None for the first.
        only_right: Names of the images that it labels correctly and the first run does not.
        only_wrong: Names of the images that the first run labels correctly and it does not.
    """

    run: Path
    fpr: float
    threshold: float
    auroc: Estimate
    false_positives: Rate | None
    true_positives: Rate | None
    difference: Difference | None
    only_right: tuple[str, ...]
    only_wrong: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison.

    Attributes:
        normal_images: Number of normal test images.
        anomalies: Number of anomalies.
        seed: Seed of the bootstrap.
        runs: In the order given; the others are compared with the first.
    """

    normal_images: int
    anomalies: int
    seed: int
    runs: tuple[ComparedRun, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        document = asdict(self)
        for plain, run in zip(document["runs"], self.runs, strict=True):
            plain["verdict"] = None if run.difference is None else run.difference.verdict
        return document


@dataclass(frozen=True, eq=False)
class _Evaluated:
    run: RunDirectory
    record: EvaluationRecord
    images: EvaluatedImages


def compare(
    runs: Sequence[Path],
    *,
    seed: int = 0,
    output: Path | None = None,
    data_root: Path | None = None,
    plugins: Sequence[Path] = (),
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
) -> Comparison:
    """Compare runs by their evaluations, each with the first one.

    Args:
        runs: Two or more run directories, evaluated on the same test images.
        seed: Seed of the bootstrap.
        output: An HTML file to write the comparison to, with the images on which runs differ.
        data_root: Where the data of the first run are now, if they were moved; for *output*.
        plugins: Plugin files to run, to read the images for *output*.
        overwrite: Whether *output* may be replaced.
        callbacks: Receive progress and warnings.

    Raises:
        UsageError: There are fewer than two runs, or one is given twice, or *output* exists or is
            no HTML file.
        RunDirectoryError: A run is not there, or was not evaluated.
        DataError: Their test images differ, or are all of one kind, or a run has another model
            than it had when it was evaluated.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two or more runs")
    if len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("a run is given twice")
    if output is not None:
        check_report_file(output)
        if output.exists() and not overwrite:
            raise UsageError(f"{output} exists", "pass 'overwrite=True', or another 'output=FILE'")
    found = [_read(run) for run in runs]
    first = found[0]
    for other in found[1:]:
        _check_same_images(first, other)
    outlier = first.images.outlier
    if not outlier.any() or outlier.all():
        kind = "anomalies" if not outlier.any() else "normal images"
        raise DataError(f"the test images of {first.run.path} have no {kind} to compare on")
    compared = tuple(_compared(each, first, seed) for each in found)
    anomalies = int(outlier.sum())
    result = Comparison(len(outlier) - anomalies, anomalies, seed, compared)
    if output is not None:
        from bigan_cli.workflows.reports.comparison import write_comparison_page

        write_comparison_page(
            output,
            result,
            [each.images for each in found],
            data_root=data_root,
            plugins=plugins,
            callbacks=callbacks or Callbacks(),
        )
    return result


def _read(path: Path) -> _Evaluated:
    from bigan_cli.storage.model_header import read_header

    run = RunDirectory.open(path)
    record = read_evaluation(run.evaluation_file)
    if record.model_sha256 != read_header(run.best_model).sha256:
        raise DataError(
            f"{path} has another model than it had when it was evaluated",
            f"evaluate it again: bigan evaluate --run {path}",
        )
    return _Evaluated(run, record, read_scores(run.scores_file))


def _check_same_images(first: _Evaluated, other: _Evaluated) -> None:
    """Raise DataError unless both runs were evaluated on the same images and truth.

    Fingerprints are of resized images; they are compared where both runs have the same size.
    """
    shapes = [each.run.info().get("data", {}).get("image_shape") for each in (first, other)]
    prints = [each.record.test_fingerprint for each in (first, other)]
    same = (
        first.images.names == other.images.names
        and (first.images.outlier == other.images.outlier).all()
        and (shapes[0] != shapes[1] or prints[0] == prints[1])
    )
    if not same:
        raise DataError(
            f"{first.run.path} and {other.run.path} were evaluated on different test images",
            "train them on the same data, with the same 'data.*' settings and 'train.seed'",
        )


def _compared(each: _Evaluated, first: _Evaluated, seed: int) -> ComparedRun:
    images, outlier = each.images, each.images.outlier
    drawn = bootstrap(outlier, images.score, seed=seed)
    area = area_under_curve(outlier, images.score)
    assert drawn is not None and area is not None  # noqa: S101  both kinds are there
    right, first_right = (run.images.anomalous == outlier for run in (each, first))
    difference = None
    if each is not first:
        difference = paired_difference(outlier, images.score, first.images.score, seed)
    return ComparedRun(
        run=each.run.path,
        fpr=each.record.operating_point.fpr,
        threshold=each.record.operating_point.threshold,
        auroc=interval(area, drawn.auroc),
        false_positives=rate(images.anomalous[~outlier]),
        true_positives=rate(images.anomalous[outlier]),
        difference=difference,
        only_right=_names(images, right & ~first_right),
        only_wrong=_names(images, first_right & ~right),
    )


def _names(images: EvaluatedImages, chosen: Any) -> tuple[str, ...]:
    return tuple(name for name, yes in zip(images.names, chosen.tolist(), strict=True) if yes)
