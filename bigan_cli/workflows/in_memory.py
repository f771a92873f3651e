"""A dataset of images that a caller has in memory, or as a list of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bigan_cli import __version__
from bigan_cli.contracts import Dataset, Items
from bigan_cli.datasets._size_recipe import recipe_for
from bigan_cli.plugins import BUILT_IN, Provided, Registry

if TYPE_CHECKING:
    from bigan_cli.contracts import RawImage

NAME = "in_memory"


def with_images(registry: Registry, images: Sequence[RawImage], names: Sequence[str]) -> Registry:
    """Return *registry* with the dataset :data:`NAME`, in which all of *images* are normal."""

    class InMemory(Dataset):
        """The images that were given."""

        name = NAME
        summary = "Images given from Python; all are normal"
        class_names: ClassVar[tuple[str, ...] | None] = ("normal",)

        @classmethod
        def preset_for(
            cls,
            _root: Path | None,
            architecture: str | None,
            tile: int | None = None,
            _options: Any = None,
        ) -> tuple[Mapping[str, Mapping[str, Any]], str]:
            return recipe_for(images, architecture, tile)  # as the dataset ``folder`` does

        def train_items(self) -> Items:
            return Items(images, np.zeros(len(images), np.int64), names=names)

        def test_items(self) -> Items:
            return Items([], np.zeros(0, np.int64), names=[])

        def normal_classes(self) -> tuple[int, ...]:
            return (0,)

    provided = Provided[Dataset](NAME, NAME, BUILT_IN, __version__, lambda: InMemory)
    return replace(registry, datasets={**registry.datasets, NAME: provided})
