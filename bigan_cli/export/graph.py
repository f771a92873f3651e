"""The whole detector as one module: uint8 images in; score, p-value, label and heatmap out.

It consists of the detector's own networks and components, so there is no second implementation of
any of them. Preprocessing, standardisation, combination and calibration are part of it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bigan_cli.data.region_of_interest import FILL
from bigan_cli.model.networks import to_model_range
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector

TIE = 1e-5
"""Scores that differ by less than this, relative to max(1, score), count as equal.

A calibration image that is scored again by other kernels gets its own score but for rounding
(about 1e-6). Without a tolerance, rounding would decide whether it exceeds itself, and so its
p-value and, at the threshold, its label. With it p-values are only ever larger.
"""


class DetectorGraph(nn.Module):
    """A detector on a CPU as a module that can be traced.

    ``forward`` takes images uint8 ``[N, H, W, C]`` of the detector's shape (RGB or RGBA where
    there are colours) and returns tensors by name:

    * ``score``: float32 ``[N]``, higher is more anomalous;
    * ``p_value``: float32 ``[N]``, how rare such a score is among normal images;
    * ``label``: int64 ``[N]``, 1 for an anomaly (``p_value <= fpr``), else 0;
    * ``components``: float32 ``[N, K]``, the standardised components that the score combines;
    * ``heatmap``: float32 ``[N, H, W]``, where the image is anomalous, 1 is the threshold; only
      of a detector that has heatmaps.

    Args:
        detector: On the CPU, for whole images.
        fpr: The false-positive rate of the label and of the heatmaps' unit.

    Raises:
        UsageError: *fpr* is not between 0 and 1, or there are too few calibration images for it.
    """

    def __init__(self, detector: Detector, fpr: float) -> None:
        super().__init__()
        detector.calibration.check(fpr)
        self._members = detector.members
        self._limits = _limits(detector.calibration)
        self._rank = detector.calibration.rank(fpr)
        self._inside = None if detector.roi is None else torch.from_numpy(detector.roi.inside)
        self._fill = float(to_model_range(torch.tensor(FILL, dtype=torch.uint8)))
        self._map_unit: tuple[float, float] | None = None
        if detector.map_calibration is not None:
            _, unit = detector.map_calibration.limit_and_unit(fpr)
            self._map_unit = (detector.map_calibration.location, unit)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in their order."""
        names = ["score", "p_value", "label", "components"]
        return names if self._map_unit is None else [*names, "heatmap"]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs for images; see the class."""
        # Converted first: TensorRT takes uint8 for inputs alone.
        x = to_model_range(images).permute(0, 3, 1, 2)
        if self._inside is not None:
            x = x.masked_fill(~self._inside, self._fill)
        scores, components, maps = [], [], []
        for member in self._members:
            values, heat = member.forward(x)
            weighted = [weight * values[name] for name, weight in member.weights.items()]
            scores.append(torch.stack(weighted).sum(dim=0))
            components.append(torch.stack(list(values.values()), dim=1))
            maps += [] if heat is None else [heat]
        score = torch.stack(scores).mean(dim=0)
        n = len(self._limits)
        # In single precision, exact up to 2^24: runtimes for GPUs lack integer sums.
        below = (self._limits < score[:, None]).float().sum(dim=1)
        at_least = 1 + n - below
        outputs = {
            "score": score,
            "p_value": at_least / (n + 1),
            "label": (at_least <= self._rank).long(),
            "components": torch.stack(components).mean(dim=0),
        }
        if maps and self._map_unit is not None:
            outputs["heatmap"] = self._in_units(torch.stack(maps).mean(dim=0), *self._map_unit)
        return outputs

    def _in_units(self, maps: Tensor, location: float, unit: float) -> Tensor:
        """Return heatmaps in units of normal images; see :class:`MapCalibration`."""
        scaled = (maps - location) / unit
        scaled = scaled.masked_fill((scaled > 1) & (scaled <= 1 + TIE), 1)
        return scaled if self._inside is None else scaled.masked_fill(~self._inside, 0)


def _limits(calibration: Calibration) -> Tensor:
    """Return the calibration scores plus :data:`TIE`, float32 ``[n]``."""
    scores = calibration.scores
    return torch.from_numpy(scores + TIE * np.maximum(1, np.abs(scores))).float()
