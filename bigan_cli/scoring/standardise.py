"""Standardisation: the scale of each component's values and maps over normal images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.data.tiles import Tiles
from bigan_cli.errors import TrainingError
from bigan_cli.scoring import component_calls
from bigan_cli.scoring.fitted_component import FittedComponent, raw_value
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks
from bigan_cli.scoring.map_scale import MapScale
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.scoring.positions import inside_of


def standardise(
    networks: InferenceNetworks,
    components: Sequence[ScoreComponent],
    memories: Mapping[str, Mapping[str, Tensor]],
    weights: Mapping[str, float],
    normals: NormalImages,
    batch_size: int,
) -> dict[str, FittedComponent]:
    """Return the components with the scales of the validation images, by their names.

    Args:
        networks: Trained networks.
        components: The components to combine.
        memories: What each component keeps of the training images, by its name.
        weights: Weight of a component in the mean; by default the component's own.
        normals: Only the validation images are used.
        batch_size: Images per forward pass.

    Raises:
        TrainingError: A component is not finite on normal images.
    """
    tiles = normals.validation_tiles
    sample = normals.validation if tiles is None else tiles
    map_scales = _fit_map_scales(
        networks, components, memories, sample, batch_size, normals.validation_inside
    )
    raw = _raw_scores(networks, components, memories, map_scales, normals, batch_size)
    return {
        component.name: fitted_component(
            component,
            memories[component.name],
            map_scales.get(component.name),
            raw[component.name],
            weights,
        )
        for component in components
    }


def _fit_map_scales(
    networks: InferenceNetworks,
    components: Sequence[ScoreComponent],
    memories: Mapping[str, Mapping[str, Tensor]],
    inputs: Inputs,
    batch_size: int,
    inside: NDArray[np.bool_] | None,
) -> dict[str, MapScale]:
    """Return the scale of each component's map over normal images; empty for pixels."""
    if not networks.on_feature_map or not len(inputs):
        return {}

    def locate(outputs: LazyNetworkOutputs, count: int) -> dict[str, Tensor]:
        maps = {c.name: component_calls.heatmap(c, outputs, memories[c.name]) for c in components}
        return {name: m[:count].float().cpu() for name, m in maps.items() if m is not None}

    batches = list(run_batches(networks, inputs, batch_size, locate, inside))
    scales = {}
    for component in components:
        if component.name in batches[0]:
            maps = torch.cat([batch[component.name] for batch in batches])
            if not torch.isfinite(maps).all():
                raise not_finite(component)
            counted = None if inside is None else inside_of(inside, maps)
            scales[component.name] = MapScale.fit(maps, counted).to(networks.device)
    return scales


def _raw_scores(
    networks: InferenceNetworks,
    components: Sequence[ScoreComponent],
    memories: Mapping[str, Mapping[str, Tensor]],
    map_scales: Mapping[str, MapScale],
    normals: NormalImages,
    batch_size: int,
) -> dict[str, NDArray[np.float64]]:
    """Return each component's value of each validation image, float64 ``[N]``."""
    tiling = normals.tiling
    inputs: Inputs | Tiles = normals.validation
    if tiling is not None:
        inputs = Tiles(np.asarray(normals.validation, np.uint8), tiling)
    inside = normals.validation_inside
    if normals.roi is not None and inside is not None and tiling is not None:
        inside = normals.roi.tile_positions(tiling, *inside.shape[1:])

    def score(outputs: LazyNetworkOutputs, count: int) -> Tensor:
        values = [
            raw_value(component, outputs, memories[component.name], map_scales.get(component.name))
            for component in components
        ]
        return torch.stack([value[:count].float() for value in values]).cpu()

    values = np.empty((len(components), len(inputs)))
    batches = run_batches(networks, inputs, batch_size, score, inside)
    for found, start in zip(batches, range(0, len(inputs), batch_size), strict=True):
        values[:, start : start + batch_size] = found.numpy()
    return {
        component.name: row if tiling is None else tiling.largest(row)
        for component, row in zip(components, values, strict=True)
    }


def fitted_component(
    component: ScoreComponent,
    memory: Mapping[str, Tensor],
    map_scale: MapScale | None,
    raw: NDArray[np.float64],
    weights: Mapping[str, float],
) -> FittedComponent:
    """Return *component* with the scale of its values *raw* of normal images, float64 ``[N]``."""
    if not np.isfinite(raw).all():
        raise not_finite(component)
    location = float(np.median(raw))
    scale = float(np.quantile(raw, 0.9)) - location
    if scale <= 0:  # most images share one value: fall back to the standard deviation
        scale = float(raw.std()) or 1.0
    weight = weights.get(component.name, component.weight)
    return FittedComponent(component, memory, location, scale, weight, map_scale)


def not_finite(component: ScoreComponent) -> TrainingError:
    """Return the error of a component that is not finite on normal images."""
    hint = "the networks have diverged; lower 'train.lr'"
    if not type(component).__module__.startswith("bigan_cli."):
        hint += f"; or its plugin is wrong: 'bigan plugins check {component.name}'"
    return TrainingError(f"score component '{component.name}' is not finite on normal images", hint)
