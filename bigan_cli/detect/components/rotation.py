"""``rotation``: how badly D tells which way up the image is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bigan_cli.contracts import Observation, ScoreComponent
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class Rotation(ScoreComponent):
    """The mean cross-entropy of D's head that tells rotations, over all rotations of the image.

    The transformation score of Golan and El-Yaniv 2018 (arXiv 1805.10917, section 4) with
    quarter turns alone; with half turns where images are not square. Each rotation is one more
    pass of the discriminator.
    """

    name = "rotation"
    summary = "how badly the discriminator tells which way up the image is"
    needs_head = "rotation"

    def score(self, seen: Observation, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return the mean cross-entropy of each image, ``[N]``."""
        upright = seen.heads["rotation"]
        rotations = upright.shape[1]
        turned = (seen.x.rot90(k * 4 // rotations, (2, 3)) for k in range(1, rotations))
        logits = [upright, *(seen.heads_for(images)["rotation"] for images in turned)]
        surprise = [-each.log_softmax(dim=1)[:, k] for k, each in enumerate(logits)]
        total: Tensor = sum(surprise[1:], surprise[0])
        return total / rotations


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``rotation``."""
    return [Rotation]
