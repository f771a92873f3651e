"""``flip``: how badly D tells whether the image was mirrored."""

from __future__ import annotations

from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._transformations import TransformationComponent


class Flip(TransformationComponent):
    """The mean cross-entropy of D's head that tells mirror images, over both ways round.

    It tells nothing of images that look the same in a mirror.
    """

    name = "flip"
    summary = "how badly the discriminator tells whether the image was mirrored"
    needs_head = "flip"


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``flip``."""
    return [Flip]
