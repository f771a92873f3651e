"""Cross-fitting: calibration on all normal images, each scored by networks fitted without it.

The images are divided into K folds. For each fold, networks are trained and components fitted
on all other folds, and their outputs for the fold's images are kept. Everything that depends
on an image is left out of its calibration score, the standardisation included. The final
networks are trained on all images, so none is lost to calibration.

This is K-fold cross-validation as a calibration method, leave-one-out with as many folds as
images. With a single final network, about the wanted share of new normal images is called
anomalous as long as leaving out 1/K of the images changes scores little; where it does change
them, held-out images score higher than new ones and fewer are called anomalous. There is no
bound for the worst case. CV+ has one, about twice the rate, but every new image must then pass
through the networks of every fold (Barber, Candès, Ramdas, Tibshirani, "Predictive inference
with the jackknife+", Annals of Statistics 2021, arXiv 1905.02928, theorems 1 and 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.errors import DataError
from bigan_cli.model.networks import Networks
from bigan_cli.scoring import component_calls
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.detector import Detector, mean, mean_of_components
from bigan_cli.scoring.ensemble_member import (
    CrossFittedScores,
    EnsembleMember,
    TrainingProvenance,
    add_up,
    combine_maps,
)
from bigan_cli.scoring.fit import fit_memories
from bigan_cli.scoring.fitted_component import FittedComponent
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import prepare_for_inference
from bigan_cli.scoring.map_calibration import MapStatistics, calibrate_maps
from bigan_cli.scoring.map_scale import MapScale, image_value
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.positions import inside_of, zero_outside
from bigan_cli.scoring.standardise import fitted_component, not_finite
from bigan_cli.scoring.usable_components import usable_components

# Images whose heatmaps at full size are in memory at a time.
_MAPS_TOGETHER = 32


@dataclass(frozen=True, eq=False)
class CrossFittedMaps:
    """The components' maps of all normal images, each by networks fitted without the image.

    Attributes:
        maps: Component -> float32 ``[N, h, w]``, before standardisation. A component that has
            no map has its values as ``[N, 1, 1]``.
        folds: int64 ``[N]``, the fold of each image.
    """

    maps: Mapping[str, Tensor]
    folds: NDArray[np.int64]

    @classmethod
    def join(
        cls, parts: Mapping[int, Mapping[str, Tensor]], folds: NDArray[np.int64]
    ) -> CrossFittedMaps:
        """Return the maps of all folds together.

        Args:
            parts: Fold -> :func:`fold_maps` of its images, in their order.
            folds: int64 ``[N]``, the fold of each image.
        """
        joined = {}
        for name, some in next(iter(parts.values())).items():
            joined[name] = some.new_empty((len(folds), *some.shape[1:]))
            for fold, maps in parts.items():
                joined[name][torch.from_numpy(folds == fold)] = maps[name]
        return cls(joined, folds)


def fold_maps(
    networks: Networks,
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    fit: Inputs,
    held_out: Inputs,
    batch_size: int,
    seed: int,
    inside: NDArray[np.bool_] | None = None,
) -> dict[str, Tensor]:
    """Fit the components to *fit* and return their maps of *held_out*, on the CPU.

    Args:
        networks: Trained on *fit*; on feature maps.
        components: The components to combine.
        weights: Weight of a component in the mean; by default the component's own.
        fit: Feature maps ``[M, h, w, K]``.
        held_out: Feature maps ``[N, h, w, K]`` of other images.
        batch_size: Images per forward pass.
        seed: Decides which images a bounded memory keeps.
        inside: The positions in the region of interest, bool ``[h, w]``.

    Raises:
        TrainingError: A component is not finite on normal images.
    """
    usable = usable_components(networks, components, weights)
    prepared = prepare_for_inference(networks)
    memories = fit_memories(prepared, usable, fit, batch_size, seed, inside)

    def locate(outputs: LazyNetworkOutputs, count: int) -> dict[str, Tensor]:
        found = {}
        for component in usable:
            heat = component_calls.heatmap(component, outputs, memories[component.name])
            if heat is None:
                heat = component_calls.score(component, outputs, memories[component.name])[
                    :, None, None
                ]
            found[component.name] = heat[:count].float().cpu()
        return found

    batches = list(run_batches(prepared, held_out, batch_size, locate, inside))
    maps = {c.name: torch.cat([batch[c.name] for batch in batches]) for c in usable}
    for component in usable:
        if not torch.isfinite(maps[component.name]).all():
            raise not_finite(component)
    return maps


def fit_cross_fitted_member(
    networks: Networks,
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    fit: Inputs,
    held_out: CrossFittedMaps,
    batch_size: int,
    provenance: TrainingProvenance,
    roi: RegionOfInterest | None = None,
) -> EnsembleMember:
    """Fit the score components to *networks*, standardised and calibrated by cross-fitting.

    Args:
        networks: Trained on all of *fit*, on their device; they are put into ``eval()``.
        components: The components to combine.
        weights: Weight of a component in the mean; by default the component's own.
        fit: Feature maps of all normal images, ``[N, h, w, K]``.
        held_out: The maps of the same images by networks fitted without them.
        batch_size: Images per forward pass, from now on.
        provenance: Seed and epoch of the networks.
        roi: The region of interest, or None.
    """
    shape = networks.input_shape
    inside = None if roi is None else roi.positions(shape.height, shape.width)
    usable = usable_components(networks, components, weights)
    prepared = prepare_for_inference(networks)
    memories = fit_memories(prepared, usable, fit, batch_size, provenance.seed, inside)
    everyone = np.ones(len(held_out.folds), bool)
    fitted = {
        c.name: _standardised(c, memories[c.name], held_out.maps[c.name], everyone, weights, inside)
        for c in usable
    }
    on_device = {
        name: FittedComponent(
            each.component,
            each.fitted,
            each.location,
            each.scale,
            each.weight,
            None if each.map_scale is None else each.map_scale.to(prepared.device),
        )
        for name, each in fitted.items()
    }
    size = (networks.image_shape.height, networks.image_shape.width)
    scores = _scores(usable, weights, held_out, size, roi, inside)
    return EnsembleMember(networks, on_device, provenance, prepared, scores, roi)


def calibrate_cross_fitted(
    members: Sequence[EnsembleMember], fpr: float, batch_size: int
) -> Detector:
    """Return the detector of *members*, calibrated on their mean cross-fitted score.

    The peak of the mean of several heatmaps is at most the mean of their peaks, which is what
    the heatmaps' unit is set by: it errs on the side of fewer flagged pixels.

    Raises:
        DataError: A member has no cross-fitted scores, or they are of other images.
    """
    scores = [m.cross_fitted for m in members if m.cross_fitted is not None]
    if len(scores) < len(members) or len({len(each.scores) for each in scores}) != 1:
        raise DataError("the ensemble members were not calibrated on the same images")
    calibration = Calibration(mean([each.scores for each in scores]), cross_fitted=True)
    peaks = mean([each.peaks for each in scores])
    medians = mean([each.medians for each in scores])
    maps = calibrate_maps([MapStatistics(peaks, medians)])
    components = mean_of_components([each.components for each in scores])
    return Detector(members, calibration, fpr, batch_size, maps, components)


def _standardised(
    component: ScoreComponent,
    memory: Mapping[str, Tensor],
    maps: Tensor,
    chosen: NDArray[np.bool_],
    weights: Mapping[str, float],
    inside: NDArray[np.bool_] | None,
) -> FittedComponent:
    """Return *component* standardised on the *chosen* images of *maps*."""
    some = maps[torch.from_numpy(chosen)]
    if some.shape[1] * some.shape[2] == 1:
        map_scale, values = None, some[:, 0, 0]
    else:
        counted = None if inside is None else inside_of(inside, some)
        map_scale = MapScale.fit(some, counted)
        values = image_value(map_scale.standardise(some), counted)
    return fitted_component(component, memory, map_scale, values.double().numpy(), weights)


def _scores(
    components: Sequence[ScoreComponent],
    weights: Mapping[str, float],
    held_out: CrossFittedMaps,
    size: tuple[int, int],
    roi: RegionOfInterest | None,
    inside: NDArray[np.bool_] | None,
) -> CrossFittedScores:
    """Return the calibration scores, and the peaks and medians of heatmaps of *size*.

    The images of a fold are standardised by those of all other folds.
    """
    folds = held_out.folds
    scores, peaks, medians = (np.empty(len(folds)) for _ in range(3))
    standardised = {c.name: np.empty(len(folds)) for c in components}
    for fold in np.unique(folds):
        others = folds != fold
        fitted = [
            _standardised(c, {}, held_out.maps[c.name], others, weights, inside) for c in components
        ]
        total = sum(each.weight for each in fitted)
        mine = np.flatnonzero(~others)
        for start in range(0, len(mine), _MAPS_TOGETHER):
            index = mine[start : start + _MAPS_TOGETHER]
            values, maps, map_weights = [], [], []
            for each in fitted:
                raw = held_out.maps[each.component.name][torch.from_numpy(index)]
                heat = raw if each.map_scale is None else each.map_scale.standardise(raw)
                counted = None if inside is None else inside_of(inside, raw)
                value = raw[:, 0, 0] if each.map_scale is None else image_value(heat, counted)
                standard = (value.double().numpy() - each.location) / each.scale
                standardised[each.component.name][index] = standard
                values.append(each.weight / total * standard)
                if each.map_scale is not None:
                    maps.append(zero_outside(heat, counted))
                    map_weights.append(each.weight)
            scores[index] = add_up(values)
            if maps:
                combined = combine_maps(maps, map_weights, size).numpy()
                found = MapStatistics.of(combined, None if roi is None else roi.inside)
                peaks[index], medians[index] = found.peaks, found.medians
    return CrossFittedScores(scores, peaks, medians, standardised)
