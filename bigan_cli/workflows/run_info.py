"""The contents of run.json when a run starts."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from typing import Any

import torch

from bigan_cli import __version__
from bigan_cli.atomic import expanded
from bigan_cli.data.prepare import PreparedData
from bigan_cli.scoring.calibration import calibration_method, calibration_promise
from bigan_cli.workflows.training_setup import TrainingSetup


def initial_run_info(setup: TrainingSetup) -> dict[str, Any]:
    """Return what run.json holds of a new run, besides its status."""
    data, config = setup.data, setup.config
    return {
        "argv": sys.argv[1:],
        "folder": str(expanded(config.output.save_dir).absolute()),
        "started": now(),
        "seed": config.train.seed,
        "device": str(setup.device),
        "precision": setup.precision,
        "threads": torch.get_num_threads(),
        "versions": {
            "bigan": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "data": {
            "dataset": data.dataset_name,
            "protocol": data.protocol,
            "fingerprint": data.fingerprint,
            "test_fingerprint": data.test_fingerprint,
            "image_shape": str(data.image_shape),
            "normal_classes": [data.class_names[k] for k in data.normal_classes],
            "images": setup.image_counts,
            "calibration": _calibration_info(data),
            "audit": data.audit.as_dict(),
        },
        "parameters": setup.parameters,
        "epoch": 0,
        "epochs": config.train.epochs,
    }


def _calibration_info(data: PreparedData) -> dict[str, Any]:
    """Return how the threshold is calibrated, and what holds for the false-positive rate."""
    cross_fitted = data.folds is not None
    return {
        "method": calibration_method(cross_fitted=cross_fitted),
        "images": len(data.calibration),
        "folds": 0 if data.folds is None else len(set(data.folds.tolist())),
        "promise": calibration_promise(cross_fitted=cross_fitted),
    }


def now() -> str:
    """Return the time in UTC, in ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
