"""Fitting: from trained networks to a calibrated detector, with normal images only.

Three disjoint sets of normal images take part: the components are fitted to the training images,
standardised on the validation images, and the threshold is set on the calibration images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.tiles import Tiles, Tiling
from bigan_cli.errors import TrainingError
from bigan_cli.model.networks import Networks
from bigan_cli.scoring import component_calls
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector, mean, member_scores
from bigan_cli.scoring.ensemble_member import (
    EnsembleMember,
    FittedComponent,
    TrainingProvenance,
    raw_value,
)
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, prepare_for_inference
from bigan_cli.scoring.map_calibration import MapStatistics, calibrate_maps
from bigan_cli.scoring.map_scale import MapScale
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.positions import inside_of, vectors_inside
from bigan_cli.scoring.tiled_member import make_member
from bigan_cli.scoring.usable_components import usable_components

# Batches of training images that are in memory at a time.
_READ_TOGETHER = 16


@dataclass(frozen=True, eq=False)
class NormalImages:
    """Three disjoint sets of normal images.

    Each is uint8 ``[N, C, H, W]``, or the images' feature maps, float16 or float32
    ``[N, h, w, K]``, for networks on feature maps.

    Attributes:
        train: The images that the networks were trained on.
        validation: Sets each component's location and scale.
        calibration: Sets the threshold.
        tiling: How images are cut for the networks; None if they take whole images. With it
            *train* holds tiles, *validation* and *calibration* hold images.
        validation_tiles: Some tiles of the validation images, or their feature maps; None
            without *tiling*.
        roi: The region of interest, or None.
        train_inside: The positions in that region, bool ``[h, w]`` for all training images
            alike; ``[N, h, w]`` for tiles. None without a region.
        validation_inside: The same of the validation images, or of their tiles.
    """

    train: Inputs
    validation: Inputs
    calibration: Inputs
    tiling: Tiling | None = field(default=None, kw_only=True)
    validation_tiles: Inputs | None = field(default=None, kw_only=True)
    roi: RegionOfInterest | None = field(default=None, kw_only=True)
    train_inside: NDArray[np.bool_] | None = field(default=None, kw_only=True)
    validation_inside: NDArray[np.bool_] | None = field(default=None, kw_only=True)


def fit_detector(
    networks: Networks,
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    normals: NormalImages,
    fpr: float,
    batch_size: int,
    seed: int,
) -> Detector:
    """Fit, standardise and calibrate the score of a single member.

    Calls :func:`fit_member` and :func:`calibrate`; see there.
    """
    provenance = TrainingProvenance(seed=seed)
    member = fit_member(networks, components, weights, normals, batch_size, provenance)
    return calibrate([member], normals, fpr, batch_size)


def fit_member(
    networks: Networks,
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    normals: NormalImages,
    batch_size: int,
    provenance: TrainingProvenance,
) -> EnsembleMember:
    """Fit the score components to *networks* and standardise them.

    Args:
        networks: Trained networks, on their device; they are put into ``eval()``.
        components: The components to combine.
        weights: Weight of a component in the mean; by default the component's own.
        normals: The three sets of normal images; the calibration images are not used.
        batch_size: Images per forward pass, from now on.
        provenance: Seed and epoch of the networks; the seed decides which images a bounded memory
            keeps.

    Raises:
        UsageError: No component is left, or all weights are zero.
        TrainingError: A component is not finite on normal images.
    """
    usable = usable_components(networks, components, weights)
    prepared = prepare_for_inference(networks)
    memories = fit_memories(
        prepared, usable, normals.train, batch_size, provenance.seed, normals.train_inside
    )
    tiles = normals.validation_tiles
    sample = normals.validation if tiles is None else tiles
    map_scales = _fit_map_scales(
        prepared, usable, memories, sample, batch_size, normals.validation_inside
    )
    raw = _raw_scores(prepared, usable, memories, map_scales, normals, batch_size)
    fitted = {
        component.name: fitted_component(
            component,
            memories[component.name],
            map_scales.get(component.name),
            raw[component.name],
            weights,
        )
        for component in usable
    }
    return make_member(networks, fitted, provenance, normals.tiling, prepared, roi=normals.roi)


def calibrate(
    members: Sequence[EnsembleMember], normals: NormalImages, fpr: float, batch_size: int
) -> Detector:
    """Return the detector of *members*, calibrated on their mean score and mean heatmap.

    Args:
        members: One or more, with the same components.
        normals: Only the calibration images are used.
        fpr: The false-positive rate to record as the default.
        batch_size: Images per forward pass, from now on.

    Raises:
        DataError: A score is not finite.
    """
    chunks: list[NDArray[np.float64]] = []
    statistics: list[MapStatistics] = []
    roi = members[0].roi
    inside = None if roi is None else roi.inside
    # A few batches at a time: the heatmaps of all images may not fit into memory.
    together = _READ_TOGETHER * batch_size if normals.tiling is None else 1
    for start in range(0, len(normals.calibration), together):
        chunk = normals.calibration[start : start + together]
        _, scores, maps = member_scores(members, chunk, batch_size, heatmaps=True)
        chunks.append(mean(scores))
        statistics += [] if maps is None else [MapStatistics.of(maps, inside)]
    calibration = Calibration(np.concatenate(chunks) if chunks else np.empty(0))
    map_calibration = calibrate_maps(statistics) if statistics else None
    return Detector(members, calibration, fpr, batch_size, map_calibration)


def _draw(
    components: Sequence[ScoreComponent], images: int, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Return the training images that each component with an ``embed`` uses, bool ``[N]``.

    They are a random sample of its ``fit_limit()``, independent of the other components.
    """
    rank = np.argsort(np.random.default_rng(seed).permutation(images))
    return {
        component.name: rank
        < (images if (limit := component_calls.fit_limit(component)) is None else limit)
        for component in components
        if type(component).embed is not ScoreComponent.embed
    }


def fit_memories(
    networks: InferenceNetworks,
    components: Sequence[ScoreComponent],
    train: Inputs,
    batch_size: int,
    seed: int,
    inside: NDArray[np.bool_] | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Return what each component keeps of the training images, by its name.

    Args:
        networks: Trained networks.
        components: The components to fit.
        train: The training images, or their feature maps.
        batch_size: Images per forward pass.
        seed: Decides which images a bounded memory keeps.
        inside: The positions that count, bool ``[h, w]`` or ``[N, h, w]``. Of embedded maps
            ``[N, K, h, w]`` a component then gets the M vectors inside, as ``[M, K, 1, 1]``.
    """
    drawn = _draw(components, len(train), seed)
    # In ascending order: the images may be mapped from a file.
    chosen = np.flatnonzero(np.any(list(drawn.values()), axis=0)) if drawn else np.empty(0, int)

    def embed(outputs: LazyNetworkOutputs, count: int) -> dict[str, Tensor]:
        points = {c.name: component_calls.embed(c, outputs) for c in components}
        return {name: p[:count].cpu() for name, p in points.items() if p is not None}

    # Allocated once: many small tensors between large temporary ones would fragment the memory.
    embedded: dict[str, Tensor] = {}
    filled = dict.fromkeys(drawn, 0)
    # The images may be mapped from a file larger than the memory: read a few batches at a time.
    for start in range(0, len(chosen), _READ_TOGETHER * batch_size):
        rows = chosen[start : start + _READ_TOGETHER * batch_size]
        positions = inside if inside is None or inside.ndim == 2 else inside[rows]
        batches = run_batches(networks, train[rows], batch_size, embed, positions)
        for points, first in zip(batches, range(0, len(rows), batch_size), strict=True):
            for name, found in points.items():
                if name not in embedded:
                    embedded[name] = found.new_empty((int(drawn[name].sum()), *found.shape[1:]))
                own = found[torch.from_numpy(drawn[name][rows[first : first + batch_size]])]
                embedded[name][filled[name] : filled[name] + len(own)] = own
                filled[name] += len(own)
    device = networks.device
    memories: dict[str, dict[str, Tensor]] = {}
    for component in components:
        fitted: dict[str, Tensor] = {}
        normals = embedded.pop(component.name, None)
        if normals is not None:
            if not torch.isfinite(normals).all():
                raise not_finite(component)
            if inside is not None and normals.ndim == 4:
                rows = inside if inside.ndim == 2 else inside[drawn[component.name]]
                normals = vectors_inside(normals, inside_of(rows, normals))
            generator = torch.Generator().manual_seed(seed)
            fitted = component_calls.fit(component, normals, generator)
        memories[component.name] = {key: value.to(device) for key, value in fitted.items()}
    return memories


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
    return TrainingError(
        f"score component '{component.name}' is not finite on normal images",
        "the networks have diverged; lower 'train.lr'",
    )
