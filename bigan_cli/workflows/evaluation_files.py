"""The files of an evaluation: metrics as JSON, scores as CSV, and three figures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bigan_cli.atomic import write_text
from bigan_cli.data.prepare import TestSet
from bigan_cli.errors import RunDirectoryError, UsageError
from bigan_cli.evaluation.detector_evaluation import Evaluation
from bigan_cli.evaluation.metrics import Estimate, Floats, Rate
from bigan_cli.formatting import json_document, path_text
from bigan_cli.scoring.detector import Detector, Scores
from bigan_cli.storage.evaluation_record import read_evaluation
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.score_table import ANOMALY, NORMAL, ScoreRow, csv_format, score_table


class EvaluationFiles:
    """The files of one evaluation.

    Args:
        run: Knows the names of the files.
        folder: Where to write them.
    """

    def __init__(self, run: RunDirectory, folder: Path) -> None:
        self._run = run
        self.evaluation = folder / run.evaluation_file.name
        self.scores = folder / run.scores_file.name
        self.roc = folder / run.roc_file.name
        self.precision_recall = folder / run.precision_recall_file.name
        self.histogram = folder / run.histogram_file.name

    def existing(self) -> tuple[Path, ...]:
        """Return the files that exist."""
        return tuple(path for path in self._all() if path.exists() or path.is_symlink())

    def check_free(self) -> None:
        """Refuse to replace files that no evaluation wrote.

        Raises:
            UsageError: There is such a file.
        """
        found = self.existing()
        if not found:
            return
        with suppress(RunDirectoryError):
            read_evaluation(self.evaluation)
            return
        raise UsageError(
            f"{found[0]} exists, and no evaluation wrote it", "name another folder for the results"
        )

    def _all(self) -> tuple[Path, ...]:
        return (self.evaluation, self.scores, self.roc, self.precision_recall, self.histogram)

    def write(
        self,
        document: Mapping[str, Any],
        detector: Detector,
        test: TestSet,
        scores: Scores,
        untrained: Scores | None,
        result: Evaluation,
    ) -> None:
        """Write all files, each whole or not at all.

        Raises:
            OSError: The folder cannot be written to.
        """
        for path in self._all():
            self._run.claim(path)
        write_text(self.evaluation, json_document(document) + "\n")
        _write_scores(self.scores, detector, test, scores, result.operating_point.fpr)
        _draw(self, detector, test, scores, untrained, result)


def _write_scores(
    path: Path, detector: Detector, test: TestSet, scores: Scores, fpr: float
) -> None:
    images, names = test.images, detector.component_names
    anomalous = detector.predict(scores, fpr)
    rows = [
        ScoreRow(
            path_text(Path(images.names[i])),
            float(scores.score[i]),
            float(scores.p_value[i]),
            ANOMALY if anomalous[i] else NORMAL,
            {name: float(scores.components[name][i]) for name in names},
            truth={
                "class": test.class_names[int(images.labels[i])],
                "outlier": int(images.outlier[i]),
            },
        )
        for i in range(len(images))
    ]
    # Images of a dataset have names, which need not be paths.
    row_format = csv_format(names, truth=("class", "outlier"), first="name", regions=False)
    with score_table(path, row_format) as write:
        if rows:
            write(row_format.lines(rows))


def _draw(
    files: EvaluationFiles,
    detector: Detector,
    test: TestSet,
    scores: Scores,
    untrained: Scores | None,
    result: Evaluation,
) -> None:
    """Draw the figures that the data allow; remove older ones that they do not."""
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
