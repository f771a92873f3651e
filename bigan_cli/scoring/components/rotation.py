"""``rotation``: the error of D in predicting the rotation of the image."""

from __future__ import annotations

from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._transformations import TransformationComponent


class Rotation(TransformationComponent):
    """The mean cross-entropy of D's head that predicts rotations, over all rotations.

    They are quarter turns, or half turns if images are not square.
    """

    name = "rotation"
    summary = "how poorly D predicts the rotation of the image (cross-entropy)"
    needs_head = "rotation"


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``rotation``."""
    return [Rotation]
