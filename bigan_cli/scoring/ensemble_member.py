"""An ensemble member: trained networks and the score components fitted to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.model.diagnostics import TrainingDiagnostics
from bigan_cli.model.networks import Networks, to_pixels
from bigan_cli.scoring.inference import run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks, ready
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

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

    def component_scores(
        self, pixels: NDArray[np.uint8], batch_size: int
    ) -> dict[str, NDArray[np.float64]]:
        """Return each component's standardised value of each image, name -> float64 ``[N]``.

        Args:
            pixels: uint8 ``[N, C, H, W]``; N may be 0.
            batch_size: Images per forward pass.
        """

        def score(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float64]:
            values = [
                c.component.score(outputs, c.fitted)[:count].detach().float()
                for c in self.components.values()
            ]
            # One copy to the host for all, and only there to float64, which Metal does not have.
            table: NDArray[np.float64] = torch.stack(values).cpu().numpy().astype(np.float64)
            return table

        columns = np.empty((len(self.components), len(pixels)))
        batches = run_batches(self._inference, pixels, batch_size, score)
        for table, start in zip(batches, range(0, len(pixels), batch_size), strict=True):
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
        mapping = [
            c for c in self.components.values() if type(c.component).heatmap is not _NO_HEATMAP
        ]
        if not mapping:
            return None

        def locate(outputs: LazyNetworkOutputs, count: int) -> NDArray[np.float32]:
            maps = [fitted.component.heatmap(outputs, fitted.fitted) for fitted in mapping]
            found = torch.stack([m[:count].float() for m in maps if m is not None])
            heat: NDArray[np.float32] = found.mean(dim=0).cpu().numpy()
            return heat

        rows = list(run_batches(self._inference, pixels, batch_size, locate))
        shape = self.networks.image_shape
        empty = np.empty((0, shape.height, shape.width), np.float32)
        return np.concatenate(rows) if rows else empty

    @torch.no_grad()
    def sample(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return G(z) of latent vectors float32 ``[N, d]``, as uint8 ``[N, C, H, W]``."""
        device = next(self.networks.parameters()).device
        images: NDArray[np.uint8] = (
            to_pixels(self.networks.generator(torch.from_numpy(z).to(device))).cpu().numpy()
        )
        return images


_NO_HEATMAP = ScoreComponent.heatmap


def add_up(rows: Sequence[NDArray[F]]) -> NDArray[F]:
    """Return the sum of one or more arrays of one shape.

    The arrays are added in a fixed order, so that an image gets the same bits in any batch.
    """
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total
