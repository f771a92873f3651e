"""Presets: the training effort in one word, and the preset of the leave-one-out protocol.

Datasets have presets, too; the effort scales their epochs. Given settings override presets, so
any single value can be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT = "balanced"


@dataclass(frozen=True)
class Preset:
    """One training effort.

    Attributes:
        epochs: Factor of the dataset's usual epochs.
        members: Networks trained and combined.
    """

    epochs: float
    members: int


# More epochs than usual do not help: D's auxiliary task then memorises the training images
# (docs/results.md has the figures).
PRESETS: Mapping[str, Preset] = {
    "fast": Preset(epochs=1 / 3, members=1),
    "balanced": Preset(epochs=1, members=1),
    "best": Preset(epochs=1, members=3),
}

_OF_ALL = {"memory_bank_size": 65_536, "metric": "root"}
LEAVE_ONE_OUT: Mapping[str, Mapping[str, Any]] = {
    "score": {
        "weights": {
            **dict.fromkeys(("distortion", "rotation", "shift", "flip"), 0.0),
            "latent_neighbours": 0.25,
        },
        "options": {
            "discriminator_neighbours": _OF_ALL,
            "encoder_neighbours": {**_OF_ALL, "dimensions": 64},
            "latent_neighbours": _OF_ALL,
        },
    }
}
"""The preset of runs whose normal classes are all but one; a dataset's preset overrides it.

With many normal classes each must be well represented among the neighbours, so all feature
vectors are kept. The norm of the features differs from class to class and is less informative
than with one class. The auxiliary heads, which model all normal images at once, are less
informative too: the more classes, the more room between them for anomalies that look normal.
"""


def values_of(name: str, usual: object) -> dict[str, Any]:
    """Return the ``[train]`` values that the preset *name* changes; none for an unknown one.

    Args:
        name: One of :data:`PRESETS`.
        usual: The epochs that suit dataset and architecture; what is no number is left alone.
    """
    preset = PRESETS.get(name, PRESETS[DEFAULT])
    values: dict[str, Any] = {}
    if preset.epochs != 1 and isinstance(usual, int):
        values["epochs"] = max(1, round(preset.epochs * usual))
    if preset.members != 1:
        values["members"] = preset.members
    return values
