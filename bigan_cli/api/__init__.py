"""The Python API; its names are those of the package ``bigan_cli``, where they are imported."""

from __future__ import annotations

from bigan_cli.api.detector import Detector, ScoreResult
from bigan_cli.api.functions import benchmark, evaluate, load, train, write_report

__all__ = ["Detector", "ScoreResult", "benchmark", "evaluate", "load", "train", "write_report"]
