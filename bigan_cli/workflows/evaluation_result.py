"""The outcome of an evaluation, and the content of ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.evaluation.detector_evaluation import Evaluation
from bigan_cli.evaluation.metrics import Estimate
from bigan_cli.workflows.self_test_result import SelfTest


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """The outcome of an evaluation.

    Attributes:
        run: The run directory.
        model: The model file.
        model_sha256: Its checksum.
        epoch: Epochs trained.
        dataset: The name of the dataset.
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        normal_classes: The names of the classes that are normal.
        outlier_portion: The configured share of anomalies in the test set, or ``all``.
        test_fingerprint: Identifies the run's test images; None for another dataset.
        device: The device that computed the scores.
        evaluation: The metrics.
        diagnostics: Of each ensemble member: its seed, its epoch and what training showed.
        remarks: Explanations of the metrics.
        warnings: What may be wrong with the data or the training.
        self_test: Which synthetic defects on normal images are found; None for networks on
            pixels, for another dataset, or without the untrained network's model file.
        files: The files that were written.
        report: The HTML report, if one was written.
        write_error: Why the files could not be written, or None.
    """

    run: Path
    model: Path
    model_sha256: str
    epoch: int
    dataset: str
    protocol: str
    normal_classes: tuple[str, ...]
    outlier_portion: float | str
    test_fingerprint: str | None
    device: str
    evaluation: Evaluation
    diagnostics: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...] = ()
    report: Path | None = None
    write_error: OSError | None = None
    self_test: SelfTest | None = None

    @property
    def auroc(self) -> Estimate | None:
        """The AUROC; None unless there are both normal images and anomalies."""
        return self.evaluation.trained.auroc

    def as_dict(self) -> dict[str, Any]:
        """Return the content of ``evaluation.json``, as plain values."""
        return {
            "run": str(self.run),
            "model": str(self.model),
            "model_sha256": self.model_sha256,
            "epoch": self.epoch,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "normal_classes": list(self.normal_classes),
            "outlier_portion": self.outlier_portion,
            "test_fingerprint": self.test_fingerprint,
            "device": self.device,
            **self.evaluation.as_dict(),
            "diagnostics": list(self.diagnostics),
            "self_test": None if self.self_test is None else self.self_test.as_dict(),
        }
