"""From trained networks to a calibrated detector, with normal images only.

Three disjoint sets of normals take part: the fit images fill the components' memory, the
validation images set each component's scale, and the calibration images set the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.errors import TrainingError, UsageError
from bigan_cli.model.networks import Networks
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector, mean, member_scores
from bigan_cli.scoring.ensemble_member import EnsembleMember, FittedComponent, Origin
from bigan_cli.scoring.inference import run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, ready
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

# Batches of training normals that are in memory at a time.
_READ_TOGETHER = 16


@dataclass(frozen=True, eq=False)
class Normals:
    """Three disjoint sets of normal images, each uint8 ``[N, C, H, W]``.

    Attributes:
        fit: What the networks were trained on.
        validation: What sets each component's centre and spread.
        calibration: What sets the threshold.
    """

    fit: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    calibration: NDArray[np.uint8]


def fit_detector(
    networks: Networks,
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    normals: Normals,
    fpr: float,
    batch_size: int,
    seed: int,
) -> Detector:
    """Fit, standardise and calibrate the score of *networks* alone.

    It is :func:`fit_member` and :func:`calibrate` in one; see there.
    """
    origin = Origin(seed=seed)
    member = fit_member(networks, components, weights, normals, batch_size, origin)
    return calibrate([member], normals, fpr, batch_size)


def fit_member(
    networks: Networks,
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    normals: Normals,
    batch_size: int,
    origin: Origin,
) -> EnsembleMember:
    """Fit the score components to *networks* and standardise them.

    Args:
        networks: Trained networks, on their device; they are put into ``eval()``.
        components: What to combine.
        weights: Weight of a component in the mean, its own where not given.
        normals: The three sets of normal images; calibration is not looked at.
        batch_size: Images a forward pass, from now on.
        origin: How the networks came about; its seed decides which normals a bounded memory
            keeps.

    Raises:
        UsageError: No component is left, or all weights are zero.
        TrainingError: A component is not finite on normal images.
    """
    usable = usable_components(networks, components, weights)
    prepared = ready(networks)
    memories = _fit_memories(prepared, usable, normals.fit, batch_size, origin.seed)
    raw = _raw_scores(prepared, usable, memories, normals.validation, batch_size)
    parts = {
        component.name: _standardise(
            component, memories[component.name], raw[component.name], weights
        )
        for component in usable
    }
    return EnsembleMember(networks, parts, origin, prepared)


def usable_components(
    networks: Networks, components: Sequence[ScoreComponent], weights: Mapping[str, float]
) -> list[ScoreComponent]:
    """Return those of *components* that *networks* have all the parts for.

    Raises:
        UsageError: None is left, or all weights are zero.
    """
    usable = [c for c in components if _can_score(c, networks)]
    if sum(weights.get(c.name, c.weight) for c in usable) <= 0:
        raise UsageError(
            "no score component with a weight above zero is left",
            "see [score] components and weights",
        )
    return usable


def calibrate(
    members: Sequence[EnsembleMember], normals: Normals, fpr: float, batch_size: int
) -> Detector:
    """Return the detector of *members*, its threshold set by what they say together.

    Args:
        members: One or more.
        normals: Of which the calibration normals are looked at.
        fpr: The false-positive rate to record as the default.
        batch_size: Images a forward pass, from now on.

    Raises:
        DataError: A score is not finite.
    """
    _, scores = member_scores(members, normals.calibration, batch_size)
    return Detector(members, Calibration(mean(scores)), fpr, batch_size)


def _can_score(component: ScoreComponent, networks: Networks) -> bool:
    return (
        (networks.has_image_features or not component.needs_image_features)
        and (networks.has_encoder_features or not component.needs_encoder_features)
        and (not component.needs_head or component.needs_head in networks.heads)
        and component.requires_cycle_discriminator in ("", *networks.conditional)
    )


def _draw(
    components: Sequence[ScoreComponent], images: int, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Return for each component that embeds images which of the fit images are its own, ``[N]``.

    At random as many as it wants, whatever the others want.
    """
    place = np.argsort(np.random.default_rng(seed).permutation(images))
    return {
        component.name: place < (images if (limit := component.fit_limit()) is None else limit)
        for component in components
        if type(component).embed is not ScoreComponent.embed
    }


def _fit_memories(
    networks: InferenceNetworks,
    components: Sequence[ScoreComponent],
    fit: NDArray[np.uint8],
    batch_size: int,
    seed: int,
) -> dict[str, dict[str, Tensor]]:
    drawn = _draw(components, len(fit), seed)
    # In their own order: the images may be mapped from a file.
    chosen = np.flatnonzero(np.any(list(drawn.values()), axis=0)) if drawn else np.empty(0, int)

    def embed(seen: LazyNetworkOutputs, count: int) -> dict[str, Tensor]:
        points = {component.name: component.embed(seen) for component in components}
        return {name: p[:count].cpu() for name, p in points.items() if p is not None}

    # Filled as they come: small tensors that are kept would lie between the large ones that are
    # given back, and the memory of those could not be used again.
    embedded: dict[str, Tensor] = {}
    filled = dict.fromkeys(drawn, 0)
    # The images may be mapped from a file that is larger than the memory: a few batches of
    # them are read at a time.
    for start in range(0, len(chosen), _READ_TOGETHER * batch_size):
        places = chosen[start : start + _READ_TOGETHER * batch_size]
        batches = run_batches(networks, fit[places], batch_size, embed)
        for points, first in zip(batches, range(0, len(places), batch_size), strict=True):
            for name, found in points.items():
                if name not in embedded:
                    embedded[name] = found.new_empty((int(drawn[name].sum()), *found.shape[1:]))
                own = found[torch.from_numpy(drawn[name][places[first : first + batch_size]])]
                embedded[name][filled[name] : filled[name] + len(own)] = own
                filled[name] += len(own)
    device = networks.device
    memories: dict[str, dict[str, Tensor]] = {}
    for component in components:
        fitted: dict[str, Tensor] = {}
        normals = embedded.pop(component.name, None)
        if normals is not None:
            if not torch.isfinite(normals).all():
                raise _not_finite(component)
            fitted = component.fit(normals, torch.Generator().manual_seed(seed))
        memories[component.name] = {key: value.to(device) for key, value in fitted.items()}
    return memories


def _raw_scores(
    networks: InferenceNetworks,
    components: Sequence[ScoreComponent],
    memories: Mapping[str, Mapping[str, Tensor]],
    pixels: NDArray[np.uint8],
    batch_size: int,
) -> dict[str, NDArray[np.float64]]:
    def look(seen: LazyNetworkOutputs, count: int) -> Tensor:
        values = [component.score(seen, memories[component.name]) for component in components]
        return torch.stack([value[:count].float() for value in values]).cpu()

    values = np.empty((len(components), len(pixels)))
    batches = run_batches(networks, pixels, batch_size, look)
    for found, start in zip(batches, range(0, len(pixels), batch_size), strict=True):
        values[:, start : start + batch_size] = found.numpy()
    return {component.name: row for component, row in zip(components, values, strict=True)}


def _standardise(
    component: ScoreComponent,
    memory: Mapping[str, Tensor],
    raw: NDArray[np.float64],
    weights: Mapping[str, float],
) -> FittedComponent:
    if not np.isfinite(raw).all():
        raise _not_finite(component)
    centre = float(np.median(raw))
    spread = float(np.quantile(raw, 0.9)) - centre
    if spread <= 0:  # most normals share one value: fall back to how far they scatter at all
        spread = float(raw.std()) or 1.0
    return FittedComponent(
        component, memory, centre, spread, weights.get(component.name, component.weight)
    )


def _not_finite(component: ScoreComponent) -> TrainingError:
    return TrainingError(
        f"score component '{component.name}' is not finite on normal images",
        "the networks have diverged; lower 'train.lr'",
    )
