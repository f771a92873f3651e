"""``rotation``: how badly D tells which way up the image is."""

from __future__ import annotations

from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._transformations import TransformationComponent


class Rotation(TransformationComponent):
    """The mean cross-entropy of D's head that tells rotations, over all rotations of the image.

    They are quarter turns, or half turns where images are not square.
    """

    name = "rotation"
    summary = "how badly the discriminator tells which way up the image is"
    needs_head = "rotation"


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``rotation``."""
    return [Rotation]
