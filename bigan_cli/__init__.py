"""Anomaly detection in images with a Bidirectional GAN.

From Python::

    import bigan_cli as bigan

    detector = bigan.train("good/", save_dir="results", epochs=30)
    detector = bigan.load("results")
    result = detector.score(["a.png", "b.png"])
    detector.predict("today/", fpr=0.01)

The names below are imported when they are first used: ``import bigan_cli`` alone imports
neither PyTorch nor NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bigan_cli.api import Detector as Detector
    from bigan_cli.api import ScoreResult as ScoreResult
    from bigan_cli.api import benchmark as benchmark
    from bigan_cli.api import evaluate as evaluate
    from bigan_cli.api import load as load
    from bigan_cli.api import train as train
    from bigan_cli.api import write_report as write_report
    from bigan_cli.errors import BiganError as BiganError
    from bigan_cli.errors import DataError as DataError
    from bigan_cli.errors import InputTypeError as InputTypeError
    from bigan_cli.errors import TrainingError as TrainingError
    from bigan_cli.errors import UsageError as UsageError
    from bigan_cli.workflows.callbacks import BiganWarning as BiganWarning
    from bigan_cli.workflows.callbacks import Callbacks as Callbacks

__version__ = "0.1.0"

_MODULES = {
    "Detector": "bigan_cli.api",
    "ScoreResult": "bigan_cli.api",
    "benchmark": "bigan_cli.api",
    "evaluate": "bigan_cli.api",
    "load": "bigan_cli.api",
    "train": "bigan_cli.api",
    "write_report": "bigan_cli.api",
    "BiganError": "bigan_cli.errors",
    "DataError": "bigan_cli.errors",
    "InputTypeError": "bigan_cli.errors",
    "TrainingError": "bigan_cli.errors",
    "UsageError": "bigan_cli.errors",
    "BiganWarning": "bigan_cli.workflows.callbacks",
    "Callbacks": "bigan_cli.workflows.callbacks",
}

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604 - all of them are names


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
