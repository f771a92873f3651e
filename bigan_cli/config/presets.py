"""Presets: how much time a run may take, in one word, and what suits leave-one-out.

A data set says what suits it (its own preset); the words say how far to go. They lie below
everything that is given, so any single value can still be chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bigan_cli.config.schema import TrainConfig

DEFAULT = "auto"


@dataclass(frozen=True)
class Preset:
    """One of them.

    Attributes:
        epochs: Of what suits the data set, this many times.
        members: Networks trained and combined.
    """

    epochs: float
    members: int


# More epochs than suit the data set are no way to go further: D's second task learns the training
# images by heart (docs/results.md has the figures).
PRESETS: Mapping[str, Preset] = {
    "auto": Preset(epochs=1, members=1),
    "fast": Preset(epochs=1 / 3, members=1),
    "balanced": Preset(epochs=1, members=1),
    "best": Preset(epochs=1, members=3),
}

_OF_ALL = {"bank_size": 65_536, "metric": "root"}
LEAVE_ONE_OUT: Mapping[str, Mapping[str, Any]] = {
    "score": {
        "weights": {
            **dict.fromkeys(("distortion", "rotation", "shift", "flip"), 0.0),
            "latent_neighbours": 0.25,
        },
        "options": {
            "image_neighbours": _OF_ALL,
            "encoder_neighbours": {**_OF_ALL, "dimensions": 64},
            "latent_neighbours": _OF_ALL,
        },
    }
}
"""What suits runs whose normals are all classes but one, below what the data set wants.

Each of many kinds of normals must be well represented among the neighbours, so all of them are
kept. How strongly the networks see an image differs from kind to kind, and so tells less of what
is normal than among one kind, but not nothing. Heads that judge normals as a whole tell less: the
more kinds there are, the more room there is between them for anomalies that look normal.
"""


def values_of(name: str, dataset_preset: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ``[train]`` values that the preset *name* changes; none for an unknown one.

    Args:
        name: One of :data:`PRESETS`.
        dataset_preset: What the data set wants, in tables.
    """
    preset = PRESETS.get(name, PRESETS[DEFAULT])
    values: dict[str, Any] = {}
    usual = dataset_preset.get("train", {}).get("epochs", TrainConfig().epochs)
    if preset.epochs != 1 and isinstance(usual, int):
        values["epochs"] = max(1, round(preset.epochs * usual))
    if preset.members != 1:
        values["members"] = preset.members
    return values
