"""One member of a detector: trained networks, and the score components fitted to them."""

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
    """A fitted component and how its values are brought onto the common scale.

    The standardised value is ``(value - centre) / spread``, with the median of the validation
    normals as centre and the distance from there to their 90th percentile as spread: 1 means
    "as far out as one normal in ten".
    """

    component: ScoreComponent
    fitted: Mapping[str, Tensor]
    centre: float
    spread: float
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
    """Trained networks with their standardised components; may be used from several threads.

    The networks run in ``eval()`` on batches of one fixed shape (the last one is filled up), so
    what is said of an image does not depend on which images it came with: exactly on CPU, to
    float tolerance on a GPU.

    Args:
        networks: Trained networks, on the device to use.
        parts: The components, in the order in which they are reported.
        origin: How the networks came about.
        prepared: *networks* made ready to judge, where that has been done.
    """

    def __init__(
        self,
        networks: Networks,
        parts: Mapping[str, FittedComponent],
        origin: Origin | None = None,
        prepared: InferenceNetworks | None = None,
    ) -> None:
        self.networks = networks.eval()
        self._ready = prepared or ready(networks)
        self.parts = dict(parts)
        self.origin = origin or Origin()

    def components(
        self, pixels: NDArray[np.uint8], batch_size: int
    ) -> dict[str, NDArray[np.float64]]:
        """Return each component's standardised value of each image, name -> float64 ``[N]``.

        Args:
            pixels: uint8 ``[N, C, H, W]``; N may be 0.
            batch_size: Images a forward pass.
        """

        def look(seen: LazyNetworkOutputs, count: int) -> NDArray[np.float64]:
            values = [
                p.component.score(seen, p.fitted)[:count].detach().float()
                for p in self.parts.values()
            ]
            # One way to the host for all, and there to float64, which Metal does not have.
            table: NDArray[np.float64] = torch.stack(values).cpu().numpy().astype(np.float64)
            return table

        columns = np.empty((len(self.parts), len(pixels)))
        batches = run_batches(self._ready, pixels, batch_size, look)
        for table, start in zip(batches, range(0, len(pixels), batch_size), strict=True):
            columns[:, start : start + batch_size] = table
        return {
            name: (column - part.centre) / part.spread
            for (name, part), column in zip(self.parts.items(), columns, strict=True)
        }

    def combine(self, components: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the weighted mean of standardised components, float64 ``[N]``."""
        total = sum(part.weight for part in self.parts.values())
        return add_up(
            [self.parts[name].weight / total * values for name, values in components.items()]
        )

    def reconstruct(self, pixels: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
        """Return G(E(x)) of images uint8 ``[N, C, H, W]``, of the same type and shape."""

        def look(seen: LazyNetworkOutputs, count: int) -> NDArray[np.uint8]:
            images: NDArray[np.uint8] = to_pixels(seen.drawn_reconstruction[:count]).cpu().numpy()
            return images

        rebuilt = list(run_batches(self._ready, pixels, batch_size, look))
        return np.concatenate(rebuilt) if rebuilt else pixels.copy()

    def heatmaps(self, pixels: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``, higher being more so.

        None where no component can tell.
        """
        mapping = [p for p in self.parts.values() if type(p.component).heatmap is not _NO_HEATMAP]
        if not mapping:
            return None

        def look(seen: LazyNetworkOutputs, count: int) -> NDArray[np.float32]:
            maps = [part.component.heatmap(seen, part.fitted) for part in mapping]
            found = torch.stack([m[:count].float() for m in maps if m is not None])
            heat: NDArray[np.float32] = found.mean(dim=0).cpu().numpy()
            return heat

        rows = list(run_batches(self._ready, pixels, batch_size, look))
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

    They are added one after another in a fixed order, so that the same image gives the same
    bits in any batch.
    """
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total
