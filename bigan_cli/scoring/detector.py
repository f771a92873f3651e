"""The detector: an ensemble of one or more members, calibrated on normal images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.errors import DataError, UsageError
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.ensemble_member import EnsembleMember, F, add_up
from bigan_cli.scoring.inference import Inputs
from bigan_cli.scoring.map_calibration import MapCalibration


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of N images.

    Attributes:
        score: float64 ``[N]``, higher is more anomalous; about 0 for a typical normal image.
        p_value: float64 ``[N]``, how rare such a score is among normal images.
        components: Name -> float64 ``[N]``, each component standardised as in the score.
        members: float64 ``[M, N]``, the score of each member alone; their mean is the score.
        heatmaps: float32 ``[N, H, W]``, see :meth:`Detector.heatmaps`; None if they were not
            requested, or if no component has heatmaps.
    """

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    components: Mapping[str, NDArray[np.float64]]
    members: NDArray[np.float64]
    heatmaps: NDArray[np.float32] | None = None


class Detector:
    """Scores images, each independently; thread-safe.

    The score is the mean of the members' scores, each standardised on the validation images,
    and it is ranked among the same means of the calibration images: the rates that calibration
    guarantees hold for any number of members. Averaging networks that differ by their seed
    alone is the deep ensemble of Lakshminarayanan et al. 2017, arXiv 1612.01474.

    Args:
        members: One or more, with the same components.
        calibration: The scores of the calibration images.
        default_fpr: The false-positive rate used where none is given.
        batch_size: Images per forward pass.
        map_calibration: Sets the unit of the heatmaps; None if no component has heatmaps.
        component_calibration: Name -> standardised values of the calibration images, float64
            ``[n]``, with which those of new images are compared when these are monitored.
    """

    def __init__(
        self,
        members: Sequence[EnsembleMember],
        calibration: Calibration,
        default_fpr: float,
        batch_size: int,
        map_calibration: MapCalibration | None = None,
        component_calibration: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        self.members = tuple(members)
        self.calibration = calibration
        self.default_fpr = default_fpr
        self.batch_size = batch_size
        self.map_calibration = map_calibration
        self.component_calibration = dict(component_calibration or {})

    @property
    def has_heatmaps(self) -> bool:
        """Whether the detector has heatmaps."""
        return self.map_calibration is not None

    @property
    def shape(self) -> ImageShape:
        """The shape of the images."""
        return self.members[0].image_shape

    @property
    def roi(self) -> RegionOfInterest | None:
        """The region of interest: what is outside changes no score and no map."""
        return self.members[0].roi

    @property
    def is_tiled(self) -> bool:
        """Whether the networks take tiles of the images."""
        return self.members[0].networks.image_shape != self.shape

    @property
    def images_at_once(self) -> int:
        """How many images fill a forward pass; a single one does where it is cut into tiles."""
        return 1 if self.is_tiled else self.batch_size

    @property
    def on_feature_map(self) -> bool:
        """Whether the networks work at every position of a feature map."""
        return self.members[0].networks.on_feature_map

    @property
    def component_names(self) -> tuple[str, ...]:
        """The components' names, in the order in which they are reported."""
        return tuple(self.members[0].components)

    def score(
        self,
        inputs: Inputs,
        *,
        heatmaps: bool = False,
        fpr: float | None = None,
        allow_nan: bool = False,
    ) -> Scores:
        """Score images.

        Args:
            inputs: Images uint8 ``[N, C, H, W]`` of the detector's shape, or their
                :meth:`features`; N may be 0.
            heatmaps: Whether to return the heatmaps, too, of the same forward pass.
            fpr: Sets the unit of the heatmaps; see :meth:`heatmaps`.
            allow_nan: Return NaN for scores that are not finite, with a p-value of 1.

        Raises:
            DataError: A score is not finite (the networks are broken), and *allow_nan* is false.
        """
        calibration = self.map_calibration if heatmaps else None
        components, members, maps = member_scores(
            self.members,
            self._filled_inputs(inputs),
            self.batch_size,
            heatmaps=calibration is not None,
        )
        score = mean(members)
        means = mean_of_components(components)
        broken = ~np.isfinite(score)
        if broken.any():
            if not allow_nan:
                raise DataError(
                    f"scores are not finite: {broken.sum():,} of {len(score):,}",
                    "the networks are broken: take another checkpoint, or train again",
                )
            score = np.where(broken, np.nan, score)
        p_values = self.calibration.p_values(np.where(broken, -np.inf, score))
        if maps is not None and calibration is not None:
            maps = self._in_units(maps, calibration, fpr)
        return Scores(score, p_values, means, np.stack(members), maps)

    def predict(
        self,
        images: NDArray[np.uint8] | Scores,
        fpr: float | None = None,
        threshold: float | None = None,
    ) -> NDArray[np.bool_]:
        """Return which images are anomalous, bool ``[N]``.

        An image is anomalous if its p-value is at most *fpr*, or if its score exceeds
        *threshold* where that is given.

        Args:
            images: uint8 ``[N, C, H, W]``, or the result of :meth:`score`.
            fpr: The false-positive rate; by default the detector's own.
            threshold: A score to use in place of the calibration.

        Raises:
            UsageError: *fpr* is not between 0 and 1, or there are too few calibration images for
                it; or both *fpr* and *threshold* are given.
        """
        if threshold is not None and fpr is not None:
            raise UsageError(
                "'score.fpr' and a threshold exclude each other", "each decides the label"
            )
        scores = images if isinstance(images, Scores) else self.score(images)
        if threshold is not None:
            return scores.score > threshold
        fpr = self.default_fpr if fpr is None else fpr
        self.calibration.check(fpr)
        return scores.p_value <= fpr

    def features(self, pixels: NDArray[np.uint8]) -> Inputs:
        """Return images uint8 ``[N, C, H, W]`` as they may be given to other methods repeatedly.

        They are float32 feature maps ``[N, h, w, K]``, which take most of the time, or the images
        themselves where the networks work on pixels or on tiles.
        """
        if not self.on_feature_map or self.is_tiled or not len(pixels):
            return pixels
        return self.members[0].features(self.filled(pixels), self.batch_size)

    def reconstruct(self, inputs: Inputs) -> NDArray[np.uint8]:
        """Return the first member's G(E(x)), drawn as uint8 ``[N, C, H, W]``.

        Args:
            inputs: Images uint8 ``[N, C, H, W]``, or their :meth:`features`.
        """
        inputs = self._filled_inputs(inputs)
        return self.filled(self.members[0].reconstruct(inputs, self.batch_size))

    def heatmaps(
        self, pixels: NDArray[np.uint8], fpr: float | None = None
    ) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``; higher is more anomalous.

        It is the mean over the members, in one unit for all images: about 0 is an ordinary pixel
        of a normal image, and 1 is the threshold that at most a share *fpr* of normal images
        exceed anywhere.

        Args:
            pixels: uint8 ``[N, C, H, W]`` of the detector's shape; N may be 0.
            fpr: The rate that sets the unit; by default the detector's own. One that is too
                small for the number of calibration images is replaced by the smallest possible.

        Returns:
            The maps, or None if no component of this detector has heatmaps.
        """
        pixels = self.filled(pixels)
        maps = [member.heatmaps(pixels, self.batch_size) for member in self.members]
        known = [heat for heat in maps if heat is not None]
        if not known or self.map_calibration is None:
            return None
        return self._in_units(mean(known), self.map_calibration, fpr)

    def filled(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return images ``[N, C, H, W]`` with one grey outside of the region of interest.

        Images of another size, such as tiles, are unchanged, and so are all without a region.
        """
        if self.roi is None or pixels.shape[2:] != self.roi.inside.shape:
            return pixels
        return self.roi.fill(pixels)

    def _filled_inputs(self, inputs: Inputs) -> Inputs:
        """Return :meth:`filled` of images; feature maps are unchanged."""
        is_image = inputs.dtype == np.uint8
        return self.filled(np.asarray(inputs, np.uint8)) if is_image else inputs

    def _in_units(
        self, maps: NDArray[np.float32], calibration: MapCalibration, fpr: float | None
    ) -> NDArray[np.float32]:
        scaled = calibration.in_units(maps, self.default_fpr if fpr is None else fpr)
        return scaled if self.roi is None else np.where(self.roi.inside, scaled, np.float32(0))

    def sample(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the first member's G(z) of latents, drawn as uint8 ``[N, C, H, W]``.

        Args:
            z: float32 ``[N, d]``, or ``[N, d, h, w]`` of networks on feature maps.
        """
        return self.filled(self.members[0].sample(z))

    def encode(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the first member's E(x) of one or more images, or of their :meth:`features`."""
        return self.members[0].encode(self._filled_inputs(inputs), self.batch_size)


def member_scores(
    members: Sequence[EnsembleMember],
    inputs: Inputs,
    batch_size: int,
    *,
    heatmaps: bool = False,
) -> tuple[
    list[dict[str, NDArray[np.float64]]], list[NDArray[np.float64]], NDArray[np.float32] | None
]:
    """Return each member's components and score of images, and the mean of their raw heatmaps.

    Args:
        members: One or more, with the same components.
        inputs: Images uint8 ``[N, C, H, W]``, or feature maps.
        batch_size: Images per forward pass.
        heatmaps: Whether heatmaps are wanted; else the last value is None.
    """
    components, maps = [], []
    for member in members:
        if heatmaps:
            found, heat = member.scores_and_heatmaps(inputs, batch_size)
        else:
            found, heat = member.component_scores(inputs, batch_size), None
        components.append(found)
        maps += [] if heat is None else [heat]
    scores = [m.combine(found) for m, found in zip(members, components, strict=True)]
    return components, scores, mean(maps) if maps else None


def mean_of_components(
    components: Sequence[Mapping[str, NDArray[F]]],
) -> dict[str, NDArray[F]]:
    """Return the mean over the members of each component's values, by its name."""
    return {name: mean([each[name] for each in components]) for name in components[0]}


def mean(rows: Sequence[NDArray[F]]) -> NDArray[F]:
    """Return the mean of one or more arrays of one shape; a single one is returned unchanged."""
    return add_up(rows) / rows[0].dtype.type(len(rows))
