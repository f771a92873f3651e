"""An ensemble member that looks at large images tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.tiles import Tiles, Tiling
from bigan_cli.model.networks import Networks
from bigan_cli.scoring.ensemble_member import (
    CrossFittedScores,
    EnsembleMember,
    TrainingProvenance,
)
from bigan_cli.scoring.fitted_component import FittedComponent
from bigan_cli.scoring.inference import Inputs, run_batches
from bigan_cli.scoring.inference_networks import InferenceNetworks
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

T = TypeVar("T")


class TiledMember(EnsembleMember):
    """Scores images by their tiles, one image at a time; thread-safe.

    A component's value of an image is the largest among its tiles, and the image's heatmap is
    stitched from theirs. The tiles of an image pass through the networks in batches of their
    own, so the score does not depend on other images.

    Args:
        networks: Trained networks, on the device to use; they take tiles.
        components: Name -> fitted component; location and scale are of values of images.
        provenance: Seed and epoch of the networks.
        prepared: *networks* prepared for inference, if that has been done already.
        tiling: How images are cut.
        roi: The region of interest, or None.
    """

    def __init__(
        self,
        networks: Networks,
        components: Mapping[str, FittedComponent],
        provenance: TrainingProvenance | None = None,
        prepared: InferenceNetworks | None = None,
        *,
        tiling: Tiling,
        roi: RegionOfInterest | None = None,
    ) -> None:
        self.tiling = tiling
        super().__init__(networks, components, provenance, prepared, roi=roi)

    @property
    def image_shape(self) -> ImageShape:
        """The shape of the images."""
        return self.tiling.image

    def _positions(self, roi: RegionOfInterest) -> NDArray[np.bool_]:
        """Return which positions of each tile are in the region of interest, ``[T, h, w]``."""
        shape = self.networks.input_shape
        return roi.tile_positions(self.tiling, shape.height, shape.width)

    def component_scores(self, inputs: Inputs, batch_size: int) -> dict[str, NDArray[np.float64]]:
        """Return each component's standardised value of each image; see the base class."""
        rows = [row for image in inputs for row in self._run_tiles(image, batch_size, self._values)]
        return self._of_images(rows)

    def scores_and_heatmaps(
        self, inputs: Inputs, batch_size: int
    ) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float32] | None]:
        """Return :meth:`component_scores` and :meth:`heatmaps` of one forward pass."""
        rows: list[NDArray[np.float64]] = []

        def heatmaps(image: NDArray[np.uint8]) -> Iterator[NDArray[np.float32] | None]:
            for values, heat in self._run_tiles(image, batch_size, self._values_and_heatmaps):
                rows.append(values)
                yield heat

        maps = [self._stitched(heatmaps(image)) for image in inputs]
        return self._of_images(rows), self._joined(maps)

    def heatmaps(self, inputs: Inputs, batch_size: int) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``; see the base class."""
        return self._joined(
            [self._stitched(self._run_tiles(image, batch_size, self._locate)) for image in inputs]
        )

    def reconstruct(self, inputs: Inputs, batch_size: int) -> NDArray[np.uint8]:
        """Return G(E(x)) of images, or of tiles, uint8 ``[N, C, H, W]``; the same shape."""
        pixels = np.asarray(inputs, np.uint8)
        if pixels.shape[2:] == (self.tiling.tile.height, self.tiling.tile.width):
            return super().reconstruct(pixels, batch_size)
        rebuilt = np.empty_like(pixels)
        for row, image in zip(rebuilt, pixels, strict=True):
            tiles = self._run_tiles(image, batch_size, self._draw)
            row[:] = self.tiling.stitch(each.astype(np.float32) for each in tiles).round()
        return rebuilt

    def _run_tiles(
        self,
        image: NDArray[np.uint8],
        batch_size: int,
        fn: Callable[[LazyNetworkOutputs, int], T],
    ) -> Iterator[T]:
        """Yield *fn* of each batch of the tiles of an image ``[C, H, W]``."""
        tiles = Tiles(image[None], self.tiling)
        return run_batches(self._inference, tiles, batch_size, fn, self._inside)

    def _of_images(self, rows: list[NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        tiles = self._standardised(rows)
        return {name: self.tiling.largest(values) for name, values in tiles.items()}

    def _stitched(
        self, batches: Iterator[NDArray[np.float32] | None]
    ) -> NDArray[np.float32] | None:
        """Return the heatmap of an image ``[1, H, W]`` from those of its tiles."""
        # All batches have heatmaps, or none has.
        heat = self.tiling.stitch(each for each in batches if each is not None)
        return heat[None] if heat.size else None


def make_member(
    networks: Networks,
    components: Mapping[str, FittedComponent],
    provenance: TrainingProvenance,
    tiling: Tiling | None,
    prepared: InferenceNetworks | None = None,
    cross_fitted: CrossFittedScores | None = None,
    roi: RegionOfInterest | None = None,
) -> EnsembleMember:
    """Return the ensemble member of *networks*, which take images, or tiles of *tiling*.

    With *tiling* there is no cross-fitting.
    """
    if tiling is None:
        return EnsembleMember(networks, components, provenance, prepared, cross_fitted, roi)
    return TiledMember(networks, components, provenance, prepared, tiling=tiling, roi=roi)
