"""The detector: one member or several, combined and calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.scoring.calibration import Calibration
from bigan_cli.scoring.ensemble_member import EnsembleMember, F, add_up


@dataclass(frozen=True, eq=False)
class Scores:
    """What the detector says of N images.

    Attributes:
        score: float64 ``[N]``, higher is more anomalous; about 0 for a typical normal image.
        p_value: float64 ``[N]``, how rare such a score is among normals.
        components: Name -> float64 ``[N]``, each component standardised as in the score.
        members: float64 ``[M, N]``, the score of each member alone; their mean is the score.
    """

    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    components: Mapping[str, NDArray[np.float64]]
    members: NDArray[np.float64]


class Detector:
    """Scores images, each for itself; may be used from several threads at once.

    The score is the mean of the members' scores, each of which is on the scale of its own
    validation normals, and it is ranked among the calibration normals' means: the rates that
    calibration promises hold for any number of members. Averaging networks that differ by
    their seed alone is the deep ensemble of Lakshminarayanan et al. 2017, arXiv 1612.01474.

    Args:
        members: One or more, with the same components.
        calibration: Scores of the calibration normals.
        default_fpr: The false-positive rate used where none is given.
        batch_size: Images a forward pass.
    """

    def __init__(
        self,
        members: Sequence[EnsembleMember],
        calibration: Calibration,
        default_fpr: float,
        batch_size: int,
    ) -> None:
        self.members = tuple(members)
        self.calibration = calibration
        self.default_fpr = default_fpr
        self.batch_size = batch_size

    @property
    def shape(self) -> ImageShape:
        """The image shape the networks take."""
        return self.members[0].networks.image_shape

    @property
    def component_names(self) -> tuple[str, ...]:
        """The components' names, in the order in which they are reported."""
        return tuple(self.members[0].parts)

    def score(self, pixels: NDArray[np.uint8]) -> Scores:
        """Score images.

        Args:
            pixels: uint8 ``[N, C, H, W]`` of the detector's shape; N may be 0.

        Raises:
            DataError: A score is not a number (the networks are broken).
        """
        components, members = member_scores(self.members, pixels, self.batch_size)
        score = mean(members)
        means = {name: mean([each[name] for each in components]) for name in components[0]}
        return Scores(score, self.calibration.p_values(score), means, np.stack(members))

    def reconstruct(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the first member's G(E(x)) of images uint8 ``[N, C, H, W]``, likewise."""
        return self.members[0].reconstruct(pixels, self.batch_size)

    def heatmaps(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return where each image is anomalous, float32 ``[N, H, W]``, higher being more so.

        It is the mean over the members. None where no component of this detector can tell. The
        values are on one scale for all images of a run.
        """
        maps = [member.heatmaps(pixels, self.batch_size) for member in self.members]
        known = [heat for heat in maps if heat is not None]
        return mean(known) if known else None

    def sample(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the first member's G(z) of float32 ``[N, d]``, as uint8 ``[N, C, H, W]``."""
        return self.members[0].sample(z)


def member_scores(
    members: Sequence[EnsembleMember], pixels: NDArray[np.uint8], batch_size: int
) -> tuple[list[dict[str, NDArray[np.float64]]], list[NDArray[np.float64]]]:
    """Return what each member says of images uint8 ``[N, C, H, W]``: components, and score."""
    components = [member.components(pixels, batch_size) for member in members]
    scores = [m.combine(found) for m, found in zip(members, components, strict=True)]
    return components, scores


def mean(rows: Sequence[NDArray[F]]) -> NDArray[F]:
    """Return the mean of one or more arrays of one shape; of one, that one to the bit."""
    return add_up(rows) / rows[0].dtype.type(len(rows))
