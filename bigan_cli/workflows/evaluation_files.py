"""The files of an evaluation: its figures as JSON, a row for each image, and three pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.atomic import atomic_write, write_text
from bigan_cli.data.prepare import TestSet
from bigan_cli.evaluation.evaluation import Evaluation
from bigan_cli.evaluation.metrics import Estimate, Floats, Rate
from bigan_cli.formatting import JSON_SCHEMA
from bigan_cli.scoring.detector import Detector, Scores
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.score_rows import ANOMALY, NORMAL, csv_line, path_text


@dataclass(frozen=True)
class Files:
    """Where the results go."""

    evaluation: Path
    scores: Path
    roc: Path
    precision_recall: Path
    histogram: Path

    @classmethod
    def of(cls, run: RunDirectory, folder: Path) -> Files:
        """Return the run's own file names in *folder*."""
        return cls(
            *(
                folder / path.name
                for path in (
                    run.evaluation_file,
                    run.scores_file,
                    run.roc_file,
                    run.precision_recall_file,
                    run.histogram_file,
                )
            )
        )

    def present(self) -> list[str]:
        """Return the names of those that are there."""
        paths = (self.evaluation, self.scores, self.roc, self.precision_recall, self.histogram)
        return [path.name for path in paths if path.exists()]


def write_all(
    files: Files,
    document: dict[str, Any],
    detector: Detector,
    test: TestSet,
    scores: Scores,
    untrained: Scores | None,
    result: Evaluation,
) -> None:
    """Write the evaluation, the scores and the figures, each whole or not at all."""
    text = json.dumps({"schema": JSON_SCHEMA, **document}, indent=2, allow_nan=False)
    write_text(files.evaluation, text + "\n")
    _write_scores(files.scores, detector, test, scores, result.operating_point.threshold)
    _draw(files, detector, test, scores, untrained, result)


def _write_scores(
    path: Path, detector: Detector, test: TestSet, scores: Scores, threshold: float
) -> None:
    names = detector.component_names
    images = test.images
    with atomic_write(path, "w") as stream:
        head = ["name", "class", "outlier", "score", "p_value", "label", *names]
        stream.write(csv_line(head) + "\n")
        for i in range(len(images)):
            value = float(scores.score[i])
            cells = [
                path_text(Path(images.names[i])),
                test.class_names[int(images.labels[i])],
                int(images.outlier[i]),
                value,
                float(scores.p_value[i]),
                ANOMALY if value > threshold else NORMAL,
                *(float(scores.components[name][i]) for name in names),
            ]
            stream.write(csv_line(cells) + "\n")


def _draw(
    files: Files,
    detector: Detector,
    test: TestSet,
    scores: Scores,
    untrained: Scores | None,
    result: Evaluation,
) -> None:
    """Draw the figures that make sense, and remove those of an earlier evaluation that do not."""
    from bigan_cli.report.figures import histogram, precision_recall, roc

    outlier, point = test.images.outlier, result.operating_point
    histogram(
        files.histogram,
        detector.calibration.scores,
        scores.score[~outlier],
        scores.score[outlier],
        threshold=point.threshold,
        fpr=point.fpr,
    )
    area, precision = result.trained.auroc, result.trained.average_precision
    if area is None or precision is None:
        files.roc.unlink(missing_ok=True)
        files.precision_recall.unlink(missing_ok=True)
        return
    before = result.untrained
    roc(
        files.roc,
        outlier,
        scores.score,
        auroc=area.value,
        interval=(area.low, area.high),
        operating_point=_point(point.observed_fpr, point.observed_tpr),
        untrained=_with_area(untrained, before.auroc if before else None),
    )
    precision_recall(
        files.precision_recall,
        outlier,
        scores.score,
        average_precision=precision.value,
        interval=(precision.low, precision.high),
        operating_point=_point(point.observed_tpr, point.precision),
        untrained=_with_area(untrained, before.average_precision if before else None),
    )


def _with_area(scores: Scores | None, area: Estimate | None) -> tuple[Floats, float] | None:
    return None if scores is None or area is None else (scores.score, area.value)


def _point(x: Rate | None, y: Rate | None) -> tuple[float, float] | None:
    return None if x is None or y is None else (x.value, y.value)
