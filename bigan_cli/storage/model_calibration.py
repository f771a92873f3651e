"""What calibration leaves in a model file: scores of normal images, all in float64.

``calibration.scores`` and ``calibration.components`` are of all ensemble members together,
``calibration.map_peaks`` and ``calibration.map_location`` the unit of their heatmaps. Of a member
that was calibrated by cross-fitting there are its own scores, too, so that the members of a run
can be trained one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.ensemble_member import CrossFittedScores, EnsembleMember
from bigan_cli.scoring.map_calibration import MapCalibration
from bigan_cli.storage.model_header import damaged

_COMPONENTS = "calibration.components"


def calibration_tensors(detector: Detector) -> dict[str, Tensor]:
    """Return the tensors of a detector's calibration, of all its members together."""
    tensors = {"calibration.scores": torch.from_numpy(detector.calibration.scores.copy())}
    if detector.component_calibration:
        values = np.stack([detector.component_calibration[n] for n in detector.component_names])
        tensors[_COMPONENTS] = torch.from_numpy(values)
    maps = detector.map_calibration
    if maps is not None:
        tensors["calibration.map_peaks"] = torch.from_numpy(maps.peaks.scores.copy())
        tensors["calibration.map_location"] = torch.tensor([maps.location], dtype=torch.float64)
    return tensors


def load_scores(path: Path, tensors: Mapping[str, Tensor], *, cross_fitted: bool) -> Calibration:
    """Return the calibration of the score.

    Args:
        path: The model file, for messages.
        tensors: All tensors of the file.
        cross_fitted: Whether the scores are of networks that were fitted without the image.

    Raises:
        DataError: There are no scores.
    """
    return Calibration(_vector(path, tensors, "scores").numpy(), cross_fitted=cross_fitted)


def load_component_scores(
    path: Path, tensors: Mapping[str, Tensor], components: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the values of each component on the calibration images, ``[n]``; empty if not stored.

    Raises:
        DataError: They are no table of *components*.
    """
    return _table(path, tensors, _COMPONENTS, components)


def load_map_calibration(path: Path, tensors: Mapping[str, Tensor]) -> MapCalibration | None:
    """Return the calibration of heatmaps; None for a model without them.

    Raises:
        DataError: The tensors do not fit together.
    """
    if "calibration.map_peaks" not in tensors:
        return None
    peaks, location = (_vector(path, tensors, f"map_{x}") for x in ("peaks", "location"))
    return MapCalibration(Calibration(peaks.numpy()), float(location[0]))


def cross_fitting_tensors(number: int, member: EnsembleMember) -> dict[str, Tensor]:
    """Return what calibration by cross-fitting keeps of member *number*; empty without it."""
    scores = member.cross_fitted
    if scores is None:
        return {}
    rows = np.stack([scores.scores, scores.peaks, scores.medians])
    tensors = {_cross_fitting(number): torch.from_numpy(rows)}
    if scores.components:
        values = np.stack([scores.components[name] for name in member.components])
        tensors[_cross_fitted_components(number)] = torch.from_numpy(values)
    return tensors


def load_cross_fitted(
    path: Path, tensors: Mapping[str, Tensor], number: int, components: Sequence[str]
) -> CrossFittedScores | None:
    """Return what calibration by cross-fitting kept of member *number*; None without it.

    Raises:
        DataError: The tensors do not fit together.
    """
    rows = tensors.get(_cross_fitting(number))
    if rows is None:
        return None
    if rows.dtype != torch.float64 or rows.dim() != 2 or len(rows) != 3:
        raise damaged(path, "its scores of cross-fitting are no table")
    of_components = _table(path, tensors, _cross_fitted_components(number), components)
    scores, peaks, medians = rows.numpy()
    return CrossFittedScores(scores, peaks, medians, of_components)


def _cross_fitting(number: int) -> str:
    return f"members.{number}.cross_fitting"


def _cross_fitted_components(number: int) -> str:
    return f"members.{number}.cross_fitted_components"


def _vector(path: Path, tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Return one or more finite values, float64 ``[n]``."""
    values = tensors.get(f"calibration.{name}")
    if values is None or values.dtype != torch.float64 or values.dim() != 1 or not len(values):
        raise damaged(path, f"it has no calibration {name}")
    return values


def _table(
    path: Path, tensors: Mapping[str, Tensor], name: str, components: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the values of each component of normal images, ``[n]``; empty if not stored."""
    values = tensors.get(name)
    if values is None:
        return {}
    if values.dtype != torch.float64 or values.dim() != 2 or len(values) != len(components):
        raise damaged(path, f"its {name} are no table of the components")
    return dict(zip(components, values.numpy(), strict=True))
