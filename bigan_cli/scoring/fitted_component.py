"""A score component fitted to normal images: its values and heatmaps, standardised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.plugins.faults import plugin_fault, returned
from bigan_cli.scoring import component_calls
from bigan_cli.scoring.map_scale import MapScale, image_value
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.positions import zero_outside

A = TypeVar("A", NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class FittedComponent:
    """A component with its fitted tensors, standardisation and weight.

    The standardised value is ``(value - location) / scale``. The location is the median over the
    validation images, and the scale is the distance from there to their 90th percentile: one
    normal image in ten has a standardised value above 1.
    """

    component: ScoreComponent
    fitted: Mapping[str, Tensor]
    location: float
    scale: float
    weight: float
    map_scale: MapScale | None = None

    def standardise(self, values: A) -> A:
        """Return values on the scale of normal images."""
        return (values - self.location) / self.scale

    def value(self, outputs: LazyNetworkOutputs) -> Tensor:
        """Return the component's value of each image before standardisation, ``[N]``."""
        return raw_value(self.component, outputs, self.fitted, self.map_scale)

    def map(self, outputs: LazyNetworkOutputs) -> Tensor | None:
        """Return the component's heatmaps, ``[N, h, w]``, or None if it has none."""
        if not has_heatmap(self.component):
            return None
        heat = component_calls.heatmap(self.component, outputs, self.fitted)
        if heat is None:
            return None
        if self.map_scale is not None:
            heat = self.map_scale.standardise(heat.float())
        return zero_outside(heat, outputs.inside_at(_size(heat)))

    def value_and_map(self, outputs: LazyNetworkOutputs) -> tuple[Tensor, Tensor | None]:
        """Return :meth:`value` and :meth:`map`, computed once where the value is of the map."""
        heat = self.map(outputs)
        if heat is None or self.map_scale is None:
            return self.value(outputs), heat
        return image_value(heat, outputs.inside_at(_size(heat))), heat


def raw_value(
    component: ScoreComponent,
    outputs: LazyNetworkOutputs,
    fitted: Mapping[str, Tensor],
    map_scale: MapScale | None,
) -> Tensor:
    """Return one value per image, ``[N]``: of the standardised map if there is a scale for it."""
    if map_scale is None:
        return component_calls.score(component, outputs, fitted)
    heat = component_calls.heatmap(component, outputs, fitted)
    if heat is None or heat.shape[1:] != map_scale.location.shape:
        shown, wanted = returned(heat), list(map_scale.location.shape)
        raise plugin_fault(component, f"heatmap() returned {shown}, and {wanted} at each before")
    return image_value(map_scale.standardise(heat.float()), outputs.inside_at(_size(heat)))


def has_heatmap(component: ScoreComponent) -> bool:
    """Return whether *component* defines heatmaps, for some networks at least."""
    return type(component).heatmap is not ScoreComponent.heatmap


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[1], maps.shape[2]
