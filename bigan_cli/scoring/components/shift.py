"""``shift``: the error of D in predicting the shift of the image."""

from __future__ import annotations

from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._transformations import TransformationComponent


class Shift(TransformationComponent):
    """The mean cross-entropy of D's head that predicts shifts, over nine shifts of the image.

    They are by a quarter of its height, of its width, of both, and none. Unlike rotations they
    change images that are symmetric under rotation.
    """

    name = "shift"
    summary = "how poorly D predicts the shift of the image (cross-entropy)"
    needs_head = "shift"


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``shift``."""
    return [Shift]
