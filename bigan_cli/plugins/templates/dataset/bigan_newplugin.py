"""The dataset ``newplugin`` for bigan.

It works without changes: it draws discs, which are normal, and rings, which are not. Replace
them by your own images; see README.md.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from bigan_cli.contracts import Dataset, ImageShape, Items, Options
from bigan_cli.hookspecs import hookimpl

_SIDE = 16


class NewPluginOptions(Options):
    """The table ``[data.options]`` of a config file that uses this dataset."""

    images: int = Field(400, ge=100, le=100_000, description="Training images of each class.")
    noise: float = Field(
        8.0, ge=0, le=64, description="Standard deviation of the noise, in grey levels."
    )


class NewPluginDataset(Dataset):
    """Discs and rings at random places."""

    name = "newplugin"
    summary = "drawn discs, with rings as anomalies, 16x16 grey"
    image_shape = ImageShape(1, _SIDE, _SIDE)
    class_names = ("disc", "ring")
    Options = NewPluginOptions
    # What suits this dataset better than the general defaults.
    preset: ClassVar = {"train": {"epochs": 20}}

    def train_items(self) -> Items:
        """Return the images to train on."""
        return self._draw(self.options.images, seed=0)

    def test_items(self) -> Items:
        """Return other images of the same kind."""
        return self._draw(self.options.images // 4, seed=1)

    def _draw(self, of_each: int, seed: int) -> Items:
        random = np.random.default_rng(seed)
        labels = np.arange(2 * of_each) % 2
        rows, columns = np.mgrid[:_SIDE, :_SIDE]
        centre = random.uniform(6, _SIDE - 7, (2, len(labels), 1, 1))
        radius = random.uniform(3.5, 5.5, (len(labels), 1, 1))
        distance = np.hypot(rows - centre[0], columns - centre[1])
        inside = distance < radius
        hole = (distance < radius / 2) & (labels == 1)[:, None, None]
        grey = 40 + 160 * (inside & ~hole)
        noise = random.normal(0, self.options.noise, grey.shape)
        return Items(np.clip(grey + noise, 0, 255).astype(np.uint8), labels)


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [NewPluginDataset]
