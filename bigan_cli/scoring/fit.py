"""Fitting: from trained networks to a calibrated detector, with normal images only.

Three disjoint sets of normal images take part: the components are fitted to the training images,
standardised on the validation images, and the threshold is set on the calibration images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.model.networks import Networks
from bigan_cli.scoring import component_calls
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector, mean, mean_of_components, member_scores
from bigan_cli.scoring.ensemble_member import (
    EnsembleMember,
    TrainingProvenance,
)
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, prepare_for_inference
from bigan_cli.scoring.map_calibration import MapStatistics, calibrate_maps
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.scoring.positions import inside_of, vectors_inside
from bigan_cli.scoring.standardise import not_finite, standardise
from bigan_cli.scoring.tiled_member import make_member
from bigan_cli.scoring.usable_components import usable_components

# Batches of training images that are in memory at a time.
_READ_TOGETHER = 16


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
    fitted = standardise(prepared, usable, memories, weights, normals, batch_size)
    return make_member(networks, fitted, provenance, normals.tiling, prepared, roi=normals.roi)


def restandardise_member(
    member: EnsembleMember, normals: NormalImages, batch_size: int
) -> EnsembleMember:
    """Return *member* standardised on other validation images; nothing else of it changes.

    Args:
        member: Its networks, fitted tensors and weights are kept.
        normals: Only the validation images are used.
        batch_size: Images per forward pass, from now on.

    Raises:
        TrainingError: A component is not finite on these images.
    """
    kept = list(member.components.values())
    prepared = prepare_for_inference(member.networks)
    fitted = standardise(
        prepared,
        [each.component for each in kept],
        {each.component.name: each.fitted for each in kept},
        {each.component.name: each.weight for each in kept},
        normals,
        batch_size,
    )
    return make_member(
        member.networks, fitted, member.provenance, normals.tiling, prepared, roi=member.roi
    )


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
    component_chunks: list[dict[str, NDArray[np.float64]]] = []
    statistics: list[MapStatistics] = []
    roi = members[0].roi
    inside = None if roi is None else roi.inside
    # A few batches at a time: the heatmaps of all images may not fit into memory.
    together = _READ_TOGETHER * batch_size if normals.tiling is None else 1
    for start in range(0, len(normals.calibration), together):
        chunk = normals.calibration[start : start + together]
        components, scores, maps = member_scores(members, chunk, batch_size, heatmaps=True)
        chunks.append(mean(scores))
        component_chunks.append(mean_of_components(components))
        statistics += [] if maps is None else [MapStatistics.of(maps, inside)]
    calibration = Calibration(np.concatenate(chunks) if chunks else np.empty(0))
    map_calibration = calibrate_maps(statistics) if statistics else None
    component_calibration = {
        name: np.concatenate([each[name] for each in component_chunks])
        for name in members[0].components
        if component_chunks
    }
    return Detector(members, calibration, fpr, batch_size, map_calibration, component_calibration)


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
