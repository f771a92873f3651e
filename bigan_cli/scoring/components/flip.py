"""``flip``: the error of D in detecting mirrored images."""

from __future__ import annotations

from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._transformations import TransformationComponent


class Flip(TransformationComponent):
    """The mean cross-entropy of D's head that detects mirrored images, over both orientations.

    It has no information about symmetric images.
    """

    name = "flip"
    summary = "how poorly D predicts whether the image is mirrored (cross-entropy)"
    needs_head = "flip"


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``flip``."""
    return [Flip]
