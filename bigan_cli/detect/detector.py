"""The detector: trained networks and score components, standardised, combined and calibrated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigan_cli.contracts import ImageShape, ScoreComponent
from bigan_cli.detect.calibration import Calibration
from bigan_cli.detect.observation import NetworkObservation
from bigan_cli.detect.ready import ReadyNetworks, one_thread, ready
from bigan_cli.model.networks import Networks, to_model_range, to_pixels

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Scores:
    """What the detector says of N images.

    Attributes:
        score: float64 ``[N]``, higher is more anomalous; about 0 for a typical normal image.
        p_value: float64 ``[N]``, how rare such a score is among normals.
        components: Name -> float64 ``[N]``, each component standardised as in the score.
    """

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    components: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Standardised:
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


class Detector:
    """Scores images, each for itself; may be used from several threads at once.

    The networks run in ``eval()`` on batches of one fixed shape (the last one is filled up), so
    an image's score does not depend on which images it came with: exactly on CPU, to float
    tolerance on a GPU.

    Args:
        networks: Trained networks, on the device to use.
        parts: The components, in the order in which they are reported.
        calibration: Scores of the calibration normals.
        default_fpr: The false-positive rate used where none is given.
        batch_size: Images a forward pass.
    """

    def __init__(
        self,
        networks: Networks,
        parts: Mapping[str, Standardised],
        calibration: Calibration,
        default_fpr: float,
        batch_size: int,
    ) -> None:
        self.networks = networks.eval()
        self._ready = ready(networks)
        self.parts = dict(parts)
        self.calibration = calibration
        self.default_fpr = default_fpr
        self.batch_size = batch_size

    @property
    def shape(self) -> ImageShape:
        """The image shape the networks take."""
        return self.networks.image_shape

    @property
    def component_names(self) -> tuple[str, ...]:
        """The components' names, in the order in which they are reported."""
        return tuple(self.parts)

    def score(self, pixels: NDArray[np.uint8]) -> Scores:
        """Score images.

        Args:
            pixels: uint8 ``[N, C, H, W]`` of the detector's shape; N may be 0.

        Raises:
            DataError: A score is not a number (the networks are broken).
        """
        components = component_scores(self._ready, self.parts, pixels, self.batch_size)
        score = combine(components, self.parts)
        return Scores(score, self.calibration.p_values(score), components)

    def reconstruct(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return G(E(x)) of images uint8 ``[N, C, H, W]``, of the same type and shape."""

        def look(seen: NetworkObservation, count: int) -> NDArray[np.uint8]:
            images: NDArray[np.uint8] = to_pixels(seen.reconstruction[:count]).cpu().numpy()
            return images

        parts = list(look_at_batches(self._ready, pixels, self.batch_size, look))
        return np.concatenate(parts) if parts else pixels.copy()

    def heatmaps(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``, higher being more so.

        None where no component of this detector can tell. The values are on one scale for all
        images of a run.
        """
        mapping = [p for p in self.parts.values() if type(p.component).heatmap is not _NO_HEATMAP]
        if not mapping:
            return None

        def look(seen: NetworkObservation, count: int) -> NDArray[np.float32]:
            maps = [part.component.heatmap(seen, part.fitted) for part in mapping]
            found = torch.stack([m[:count].float() for m in maps if m is not None])
            heat: NDArray[np.float32] = found.mean(dim=0).cpu().numpy()
            return heat

        rows = list(look_at_batches(self._ready, pixels, self.batch_size, look))
        shape = (0, self.shape.height, self.shape.width)
        return np.concatenate(rows) if rows else np.empty(shape, np.float32)

    @torch.no_grad()
    def sample(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return G(z) of latent vectors float32 ``[N, d]``, as uint8 ``[N, C, H, W]``."""
        device = next(self.networks.parameters()).device
        images: NDArray[np.uint8] = (
            to_pixels(self.networks.generator(torch.from_numpy(z).to(device))).cpu().numpy()
        )
        return images


_NO_HEATMAP = ScoreComponent.heatmap


def observe(
    networks: Networks | ReadyNetworks,
    pixels: NDArray[np.uint8],
    batch_size: int,
    *,
    pairs: bool = True,
) -> Iterator[tuple[NetworkObservation, int]]:
    """Yield each batch as the networks see it, with how many of its images are real.

    Every batch has exactly *batch_size* images; the last one is filled up with copies of its
    first image, whose results are to be dropped.
    """
    prepared = ready(networks)
    device = prepared.device
    for start in range(0, len(pixels), batch_size):
        chunk = np.ascontiguousarray(pixels[start : start + batch_size])
        count = len(chunk)
        if count < batch_size:
            filling = np.repeat(chunk[:1], batch_size - count, axis=0)
            chunk = np.concatenate([chunk, filling])
        with torch.no_grad(), one_thread(device):
            x = to_model_range(torch.from_numpy(chunk).to(device))
            x = x.contiguous(memory_format=prepared.layout)
            yield NetworkObservation(prepared, x, pairs=pairs), count


def look_at_batches(
    networks: Networks | ReadyNetworks,
    pixels: NDArray[np.uint8],
    batch_size: int,
    look: Callable[[NetworkObservation, int], T],
    *,
    pairs: bool = True,
) -> Iterator[T]:
    """Yield what *look* makes of each batch of :func:`observe`, in order, several at a time.

    Args:
        networks: On their device; a CPU works on as many batches at a time as torch has threads.
        pixels: uint8 ``[N, C, H, W]``.
        batch_size: Images in a batch.
        look: Called with a batch and how many of its images are real, in any thread.
        pairs: Whether *look* is about reconstructions as well.
    """
    prepared = ready(networks)

    def one(start: int) -> T:
        chunk = pixels[start : start + batch_size]
        ((seen, count),) = observe(prepared, chunk, batch_size, pairs=pairs)
        return look(seen, count)

    starts = range(0, len(pixels), batch_size)
    threads = torch.get_num_threads() if prepared.device.type == "cpu" else 1
    if min(threads, len(starts)) < 2:
        for seen, count in observe(prepared, pixels, batch_size, pairs=pairs):
            yield look(seen, count)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="look") as pool:
        waiting = deque(pool.submit(one, start) for start in starts[: 2 * threads])
        for start in starts[2 * threads :]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(one, start))
        for future in waiting:
            yield future.result()


def component_scores(
    networks: Networks | ReadyNetworks,
    parts: Mapping[str, Standardised],
    pixels: NDArray[np.uint8],
    batch_size: int,
) -> dict[str, NDArray[np.float64]]:
    """Return each component's standardised value of each image, name -> float64 ``[N]``."""

    def look(seen: NetworkObservation, count: int) -> NDArray[np.float64]:
        values = [
            p.component.score(seen, p.fitted)[:count].detach().float() for p in parts.values()
        ]
        # One way to the host for all of them, and there to float64, which Metal does not have.
        table: NDArray[np.float64] = torch.stack(values).cpu().numpy().astype(np.float64)
        return table

    tables = list(look_at_batches(networks, pixels, batch_size, look))
    columns = np.concatenate(tables, axis=1) if tables else np.empty((len(parts), 0))
    return {
        name: (column - part.centre) / part.spread
        for (name, part), column in zip(parts.items(), columns, strict=True)
    }


def combine(
    components: Mapping[str, NDArray[np.float64]], parts: Mapping[str, Standardised]
) -> NDArray[np.float64]:
    """Return the weighted mean of standardised components, float64 ``[N]``."""
    total = sum(part.weight for part in parts.values())
    weighted = [parts[name].weight / total * values for name, values in components.items()]
    # Summed one after another in a fixed order, so that the same image gives the same bits.
    score = weighted[0]
    for values in weighted[1:]:
        score = score + values
    return score
