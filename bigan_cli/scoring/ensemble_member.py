"""An ensemble member: trained networks and the score components fitted to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bigan_cli.contracts import ScoreComponent
from bigan_cli.model.diagnostics import TrainingDiagnostics
from bigan_cli.model.networks import Networks, to_pixels
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, ready
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs
from bigan_cli.scoring.place_scale import PlaceScale, image_value

F = TypeVar("F", np.float32, np.float64)


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
    places: PlaceScale | None = None

    def value(self, outputs: LazyNetworkOutputs) -> Tensor:
        """Return the component's value of each image before standardisation, ``[N]``."""
        return raw_value(self.component, outputs, self.fitted, self.places)

    def map(self, outputs: LazyNetworkOutputs) -> Tensor | None:
        """Return where each image is anomalous, ``[N, h, w]``, or None if it cannot tell."""
        heat = self.component.heatmap(outputs, self.fitted)
        if heat is None or self.places is None:
            return heat
        return self.places.standardise(heat.float())


def raw_value(
    component: ScoreComponent,
    outputs: LazyNetworkOutputs,
    fitted: Mapping[str, Tensor],
    places: PlaceScale | None,
) -> Tensor:
    """Return one value per image, ``[N]``: of the standardised map where there is its scale."""
    if places is None:
        return component.score(outputs, fitted)
    heat = component.heatmap(outputs, fitted)
    assert heat is not None  # noqa: S101  places were fitted to it
    return image_value(places.standardise(heat.float()))


@dataclass(frozen=True)
class Origin:
    """How the networks of a member came about.

    Attributes:
        seed: What they were drawn and trained with; it tells the members of a run apart.
        epoch: Epochs trained; 0 is the untrained network.
        health: What they showed when they were last looked at in training; None where that is
            not known.
    """

    seed: int = 0
    epoch: int = 0
    health: TrainingDiagnostics | None = None


class EnsembleMember:
    """Trained networks with their standardised components; thread-safe.

    The networks run in ``eval()`` on batches of one fixed shape (the last one is padded), so the
    score of an image does not depend on the other images: exactly on CPU, to float tolerance on
    a GPU.

    Args:
        networks: Trained networks, on the device to use.
        components: Name -> fitted component, in the order in which they are reported.
        origin: Seed and epoch of the networks.
        prepared: *networks* prepared for inference, if that has been done already.
    """

    def __init__(
        self,
        networks: Networks,
        components: Mapping[str, FittedComponent],
        origin: Origin | None = None,
        prepared: InferenceNetworks | None = None,
    ) -> None:
        self.networks = networks.eval()
        self._inference = prepared or ready(networks)
        self.components = dict(components)
        self.origin = origin or Origin()

    def component_scores(self, inputs: Inputs, batch_size: int) -> dict[str, NDArray[np.float64]]:
        """Return each component's standardised value of each image, name -> float64 ``[N]``.

        Args:
            inputs: Images uint8 ``[N, C, H, W]``, or feature maps; N may be 0.
            batch_size: Images per forward pass.
        """

        def score(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float64]:
            values = [c.value(outputs)[:count].detach().float() for c in self.components.values()]
            # One copy to the host for all, and only there to float64, which Metal does not have.
            table: NDArray[np.float64] = torch.stack(values).cpu().numpy().astype(np.float64)
            return table

        columns = np.empty((len(self.components), len(inputs)))
        batches = run_batches(self._inference, inputs, batch_size, score)
        for table, start in zip(batches, range(0, len(inputs), batch_size), strict=True):
            columns[:, start : start + batch_size] = table
        return {
            name: (column - fitted.location) / fitted.scale
            for (name, fitted), column in zip(self.components.items(), columns, strict=True)
        }

    def combine(self, components: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the weighted mean of standardised components, float64 ``[N]``."""
        total = sum(fitted.weight for fitted in self.components.values())
        return add_up(
            [self.components[name].weight / total * values for name, values in components.items()]
        )

    def reconstruct(self, pixels: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
        """Return G(E(x)) of images uint8 ``[N, C, H, W]``, of the same type and shape."""

        def draw(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.uint8]:
            drawn = outputs.drawn_reconstruction[:count]
            images: NDArray[np.uint8] = to_pixels(drawn).cpu().numpy()
            return images

        rebuilt = list(run_batches(self._inference, pixels, batch_size, draw))
        return np.concatenate(rebuilt) if rebuilt else pixels.copy()

    def heatmaps(self, pixels: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``; higher is more anomalous.

        None if no component has heatmaps.
        """
        mapping = [c for c in self.components.values() if has_heatmap(c.component)]
        if not mapping:
            return None
        shape = self.networks.image_shape
        size = (shape.height, shape.width)

        def locate(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float32]:
            found = [(c.weight, heat) for c in mapping if (heat := c.map(outputs)) is not None]
            maps = torch.stack([heat[:count].float() for _, heat in found])
            if outputs.on_places:  # where all are on one scale
                weights = maps.new_tensor([weight for weight, _ in found])
                maps = maps * (weights / weights.mean().clamp_min(1e-12))[:, None, None, None]
            combined = maps.mean(dim=0)
            if combined.shape[1:] != size:
                combined = interpolate(combined[:, None], size=size, mode="bilinear")[:, 0]
            located: NDArray[np.float32] = combined.cpu().numpy()
            return located

        rows = list(run_batches(self._inference, pixels, batch_size, locate))
        return np.concatenate(rows) if rows else np.empty((0, *size), np.float32)

    @torch.no_grad()
    def sample(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return G(z) of float32 ``[N, *latent_shape]``, drawn as uint8 ``[N, C, H, W]``."""
        device = next(self.networks.parameters()).device
        generated = self.networks.generator(torch.from_numpy(z).to(device))
        images: NDArray[np.uint8] = to_pixels(self._inference.drawn(generated)).cpu().numpy()
        return images


def has_heatmap(component: ScoreComponent) -> bool:
    """Return whether *component* defines heatmaps, for some networks at least."""
    return type(component).heatmap is not ScoreComponent.heatmap


def add_up(rows: Sequence[NDArray[F]]) -> NDArray[F]:
    """Return the sum of one or more arrays of one shape.

    The arrays are added in a fixed order, so that an image gets the same bits in any batch.
    """
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total
