"""Reading what ``bigan evaluate`` wrote: metrics as JSON, and the scores of the test images."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from bigan_cli.config.validation_errors import first_problem
from bigan_cli.errors import RunDirectoryError
from bigan_cli.formatting import one_line
from bigan_cli.regular_files import read_regular_file
from bigan_cli.storage.score_table import ANOMALY, NORMAL
from bigan_cli.storage.strict_json import parse_json

_LARGEST = 256_000_000  # bytes
_LONGEST = 200  # characters of a reason, which may quote what is damaged


@dataclass(frozen=True, eq=False)
class EvaluatedImages:
    """The N test images of an evaluation.

    Attributes:
        names: In the order of the test set.
        classes: The class of each.
        outlier: bool ``[N]``, the truth.
        score: float64 ``[N]``.
        anomalous: bool ``[N]``, the label at the threshold.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    outlier: NDArray[np.bool_]
    score: NDArray[np.float64]
    anomalous: NDArray[np.bool_]


class _OperatingPoint(BaseModel):
    fpr: FiniteFloat
    threshold: FiniteFloat


class EvaluationRecord(BaseModel):
    """What a comparison reads of an ``evaluation.json``; other keys are ignored.

    Attributes:
        model_sha256: Checksum of the model file that was evaluated.
        test_fingerprint: Identifies the test images at the size of the networks.
        operating_point: The threshold, and the false-positive rate that it was set for.
    """

    model_config = ConfigDict(frozen=True)

    model_sha256: str
    test_fingerprint: str | None
    operating_point: _OperatingPoint


def read_evaluation(file: Path) -> EvaluationRecord:
    """Return the contents of an ``evaluation.json``.

    Raises:
        RunDirectoryError: It is missing or damaged.
    """
    data = _read(file)
    try:
        return EvaluationRecord.model_validate(parse_json(data))
    except ValidationError as error:
        raise _damaged(file, first_problem(error)) from error
    except ValueError as error:
        raise _damaged(file, str(error)) from error


def read_scores(file: Path) -> EvaluatedImages:
    """Return the contents of the ``scores.csv`` of an evaluation.

    Raises:
        RunDirectoryError: It is missing or damaged.
    """
    data = _read(file)
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))
        return _parsed(rows)
    except (ValueError, LookupError, TypeError, OverflowError, csv.Error) as error:
        raise _damaged(file, f"{type(error).__name__}: {error}") from error


def _parsed(rows: list[dict[str, str]]) -> EvaluatedImages:
    labels = [row["label"] for row in rows]
    score = np.array([float(row["score"]) for row in rows], np.float64)
    if not np.isfinite(score).all() or not {*labels} <= {ANOMALY, NORMAL}:
        raise ValueError("a row has no score or no label")
    return EvaluatedImages(
        tuple(row["name"] for row in rows),
        tuple(row["class"] for row in rows),
        np.array([{"0": False, "1": True}[row["outlier"]] for row in rows], np.bool_),
        score,
        np.array([label == ANOMALY for label in labels], np.bool_),
    )


def _read(file: Path) -> bytes:
    try:
        return read_regular_file(file, _LARGEST)
    except FileNotFoundError:
        raise RunDirectoryError(
            f"no {file.name} in {file.parent}", "evaluate the run first: bigan evaluate --run DIR"
        ) from None
    except OSError as error:
        raise RunDirectoryError(f"cannot read {file}: {error.strerror}") from error


def _damaged(file: Path, reason: str) -> RunDirectoryError:
    return RunDirectoryError(
        f"{file} is damaged ({one_line(reason)[:_LONGEST]})",
        "evaluate the run again: bigan evaluate",
    )
