"""Which files an evaluation may replace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bigan_cli.errors import UsageError
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.evaluation_files import EvaluationFiles

RECORD = {
    "model_sha256": "x",
    "test_fingerprint": None,
    "operating_point": {"fpr": 0.05, "threshold": 1.0},
}


@pytest.mark.parametrize("name", ["scores.csv", "roc.png", "evaluation.json"])
def test_files_that_no_evaluation_wrote_are_not_replaced(tmp_path: Path, name: str) -> None:
    files = EvaluationFiles(RunDirectory(tmp_path / "run"), tmp_path)
    files.check_free()
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} exists, and no evaluation wrote it"):
        files.check_free()


def test_an_earlier_evaluation_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(RECORD))
    (tmp_path / "scores.csv").write_text("of that evaluation")
    EvaluationFiles(RunDirectory(tmp_path / "run"), tmp_path).check_free()
