"""An ensemble member: trained networks and the score components fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.model.diagnostics import TrainingDiagnostics
from bigan_cli.model.networks import Networks, to_pixels
from bigan_cli.scoring.fitted_component import FittedComponent, has_heatmap
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, prepare_for_inference
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

F = TypeVar("F", np.float32, np.float64)
T = TypeVar("T")


@dataclass(frozen=True)
class TrainingProvenance:
    """How the networks of a member were trained.

    Attributes:
        seed: Seed of initialisation and training; the members of a run differ by it.
        epoch: Epochs trained; 0 is the untrained network.
        diagnostics: Diagnostics of the networks at that epoch; None if unknown.
    """

    seed: int = 0
    epoch: int = 0
    diagnostics: TrainingDiagnostics | None = None


@dataclass(frozen=True, eq=False)
class CrossFittedScores:
    """What calibration by cross-fitting keeps of a member; each float64 ``[N]``.

    Attributes:
        scores: The member's score of each normal image, by networks fitted without the image.
        peaks: The largest value of each image's heatmap.
        medians: The median of each image's heatmap.
        components: Name -> standardised value of the component.
    """

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    medians: NDArray[np.float64]
    components: Mapping[str, NDArray[np.float64]]


class EnsembleMember:
    """Trained networks with their standardised components; thread-safe.

    The networks run in ``eval()`` on batches of one fixed shape (the last one is padded), so the
    score of an image does not depend on the other images: exactly on CPU, to float tolerance on
    a GPU.

    Args:
        networks: Trained networks, on the device to use.
        components: Name -> fitted component, in the order in which they are reported.
        provenance: Seed and epoch of the networks.
        prepared: *networks* prepared for inference, if that has been done already.
        cross_fitted: The calibration scores, where they are of cross-fitting.
        roi: The region of interest, or None.
    """

    def __init__(
        self,
        networks: Networks,
        components: Mapping[str, FittedComponent],
        provenance: TrainingProvenance | None = None,
        prepared: InferenceNetworks | None = None,
        cross_fitted: CrossFittedScores | None = None,
        roi: RegionOfInterest | None = None,
    ) -> None:
        self.networks = networks.eval()
        self._inference = prepared or prepare_for_inference(networks)
        self.components = dict(components)
        self.cross_fitted = cross_fitted
        self.roi = roi
        self._inside = None if roi is None else self._positions(roi)
        self.provenance = provenance or TrainingProvenance()

    @property
    def image_shape(self) -> ImageShape:
        """The shape of the images."""
        return self.networks.image_shape

    def _positions(self, roi: RegionOfInterest) -> NDArray[np.bool_]:
        """Return which positions of the networks' inputs are in the region of interest."""
        shape = self.networks.input_shape
        return roi.positions(shape.height, shape.width)

    def _run(
        self, inputs: Inputs, batch_size: int, fn: Callable[[LazyNetworkOutputs, int], T]
    ) -> Iterator[T]:
        """Yield *fn* of each batch; see :func:`run_batches`."""
        return run_batches(self._inference, inputs, batch_size, fn, self._inside)

    def component_scores(self, inputs: Inputs, batch_size: int) -> dict[str, NDArray[np.float64]]:
        """Return each component's standardised value of each image, name -> float64 ``[N]``.

        Args:
            inputs: Images uint8 ``[N, C, H, W]``, or feature maps; N may be 0.
            batch_size: Images per forward pass.
        """
        rows = list(self._run(inputs, batch_size, self._values))
        return self._standardised(rows)

    def scores_and_heatmaps(
        self, inputs: Inputs, batch_size: int
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float32] | None]:
        """Return :meth:`component_scores` and :meth:`heatmaps` of one forward pass."""
        rows = list(self._run(inputs, batch_size, self._values_and_heatmaps))
        components = self._standardised([values for values, _ in rows])
        return components, self._joined([heat for _, heat in rows])

    def _values(self, outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float64]:
        """Return the components' raw values of a batch, float64 ``[components, count]``."""
        return _on_host([c.value(outputs) for c in self.components.values()], count)

    def _values_and_heatmaps(
        self, outputs: LazyNetworkOutputs, count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
        """Return :meth:`_values` and :meth:`_locate` of a batch."""
        values, heat = self._values_and_map(outputs)
        return _on_host(values, count), _map_on_host(heat, count)

    def _values_and_map(self, outputs: LazyNetworkOutputs) -> tuple[list[Tensor], Tensor | None]:
        found = [c.value_and_map(outputs) for c in self.components.values()]
        heat = self._combine_maps(outputs, [heat for _, heat in found])
        return [value for value, _ in found], heat

    def forward(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return each component's standardised value, and the heatmaps, as tensors.

        It is what :meth:`scores_and_heatmaps` computes, in single precision and for any number of
        images; it is what an exported model consists of.

        Args:
            images: ``[N, C, H, W]`` in [-1, 1].

        Returns:
            Name -> ``[N]``, and ``[N, H, W]`` or None.
        """
        inside = None if self._inside is None else torch.from_numpy(self._inside)[None]
        outputs = LazyNetworkOutputs(self._inference, images, inside=inside)
        values, heat = self._values_and_map(outputs)
        named = zip(self.components.items(), values, strict=True)
        return {name: fitted.standardise(value.float()) for (name, fitted), value in named}, heat

    def _standardised(self, rows: Sequence[NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        columns = np.concatenate([np.empty((len(self.components), 0)), *rows], axis=1)
        return {
            name: fitted.standardise(column)
            for (name, fitted), column in zip(self.components.items(), columns, strict=True)
        }

    @property
    def weights(self) -> dict[str, float]:
        """Name -> weight of each component in the score; they add up to 1."""
        total = sum(fitted.weight for fitted in self.components.values())
        return {name: fitted.weight / total for name, fitted in self.components.items()}

    def combine(self, components: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the weighted mean of standardised components, float64 ``[N]``."""
        weights = self.weights
        return add_up([weights[name] * values for name, values in components.items()])

    def features(self, pixels: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32]:
        """Return the inputs of E and D for one or more images, float32 ``[N, h, w, K]``."""

        def extract(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float32]:
            maps: NDArray[np.float32] = outputs.x[:count].movedim(1, -1).float().cpu().numpy()
            return maps

        return np.concatenate(list(run_batches(self._inference, pixels, batch_size, extract)))

    def reconstruct(self, inputs: Inputs, batch_size: int) -> NDArray[np.uint8]:
        """Return G(E(x)) of images, or of their feature maps, drawn as uint8 ``[N, C, H, W]``."""
        rebuilt = list(run_batches(self._inference, inputs, batch_size, self._draw))
        return np.concatenate(rebuilt) if rebuilt else np.array(inputs, np.uint8)

    def _draw(self, outputs: LazyNetworkOutputs, count: int) -> NDArray[np.uint8]:
        """Return the reconstructions of a batch, uint8 ``[count, C, H, W]``."""
        drawn = outputs.drawn_reconstruction[:count]
        images: NDArray[np.uint8] = to_pixels(drawn).cpu().numpy()
        return images

    def heatmaps(self, inputs: Inputs, batch_size: int) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``; higher is more anomalous.

        None if no component has heatmaps.
        """
        return self._joined(list(self._run(inputs, batch_size, self._locate)))

    def _locate(self, outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float32] | None:
        """Return the heatmaps of a batch, float32 ``[count, H, W]``."""
        maps = [c.map(outputs) for c in self.components.values()]
        return _map_on_host(self._combine_maps(outputs, maps), count)

    def _combine_maps(
        self, outputs: LazyNetworkOutputs, maps: Sequence[Tensor | None]
    ) -> Tensor | None:
        """Return the mean of the components' maps at the size of the images, ``[N, H, W]``."""
        components = zip(self.components.values(), maps, strict=True)
        found = [(c.weight, heat) for c, heat in components if heat is not None]
        if not found:
            return None
        # Only on feature maps are all on one scale.
        weights = [weight if outputs.on_feature_map else 1.0 for weight, _ in found]
        shape = self.networks.image_shape
        maps_found = [heat.float() for _, heat in found]
        return combine_maps(maps_found, weights, (shape.height, shape.width))

    def _joined(self, rows: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
        found = [heat for heat in rows if heat is not None]
        if found:
            return np.concatenate(found)
        if rows or not any(has_heatmap(c.component) for c in self.components.values()):
            return None
        return np.empty((0, self.image_shape.height, self.image_shape.width), np.float32)

    def encode(self, inputs: Inputs, batch_size: int) -> NDArray[np.float32]:
        """Return E(x), float32 ``[N, d]``, or ``[N, d, h, w]`` of networks on feature maps.

        Args:
            inputs: One or more images uint8 ``[N, C, H, W]``, or feature maps.
            batch_size: Images per forward pass.
        """

        def encode(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float32]:
            z: NDArray[np.float32] = outputs.z[:count].float().cpu().numpy()
            return z

        return np.concatenate(list(run_batches(self._inference, inputs, batch_size, encode)))

    @torch.no_grad()
    def sample(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return G(z) of latents like those of :meth:`encode`, as uint8 ``[N, C, H, W]``."""
        device = next(self.networks.parameters()).device
        generated = self.networks.generator(torch.from_numpy(z).to(device))
        images: NDArray[np.uint8] = to_pixels(self._inference.drawn(generated)).cpu().numpy()
        return images


def combine_maps(maps: Sequence[Tensor], weights: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Return the weighted mean of maps ``[N, h, w]`` at *size*, ``[N, H, W]``.

    Where all weights are 0 it is their plain mean.
    """
    if len({heat.shape[1:] for heat in maps}) > 1:  # of several resolutions
        maps = [_at_size(heat, size) for heat in maps]
    stacked = torch.stack(list(maps))
    if any(weights) and len(set(weights)) > 1:
        relative = stacked.new_tensor(weights)
        stacked = stacked * (relative / relative.mean())[:, None, None, None]
    return _at_size(stacked.mean(dim=0), size)


def _at_size(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps ``[N, h, w]`` at *size*."""
    if maps.shape[1:] == size:
        return maps
    return interpolate(maps[:, None], size=size, mode="bilinear")[:, 0]


def _on_host(values: Sequence[Tensor], count: int) -> NDArray[np.float64]:
    """Return the first *count* of each row of values, float64 ``[rows, count]``."""
    # One copy to the host for all, and only there to float64, which Metal does not have.
    stacked = torch.stack([value[:count].detach().float() for value in values])
    table: NDArray[np.float64] = stacked.cpu().numpy().astype(np.float64)
    return table


def _map_on_host(heat: Tensor | None, count: int) -> NDArray[np.float32] | None:
    """Return the first *count* of heatmaps ``[N, H, W]``."""
    if heat is None:
        return None
    table: NDArray[np.float32] = heat[:count].cpu().numpy()
    return table


def add_up(rows: Sequence[NDArray[F]]) -> NDArray[F]:
    """Return the sum of one or more arrays of one shape.

    The arrays are added in a fixed order, so that an image gets the same bits in any batch.
    """
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total
