"""``shift``: how badly D tells where the image was moved to."""

from __future__ import annotations

from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl
from bigan_cli.scoring.components._transformations import TransformationComponent


class Shift(TransformationComponent):
    """The mean cross-entropy of D's head that tells shifts, over the nine shifts of the image.

    They are by a quarter of its height, of its width, of both, and none. Unlike rotations they
    change images that look the same upside down.
    """

    name = "shift"
    summary = "how badly the discriminator tells where the image was moved to"
    needs_head = "shift"


@hookimpl
def bigan_score_components() -> list[type[ScoreComponent]]:
    """Provide ``shift``."""
    return [Shift]
