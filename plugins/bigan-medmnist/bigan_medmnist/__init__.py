"""``medmnist``: the two-dimensional sets of MedMNIST for bigan (Yang et al. 2023).

The package ``medmnist`` says what the sets are, and fetches them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bigan_cli.contracts import DataLocation, Dataset, ImageShape, Items, Options
from bigan_cli.hookspecs import hookimpl
from bigan_medmnist._about import about
from bigan_medmnist._files import find, read

_NO_FINDING = "no finding"
_SEVERAL = "several findings"


class MedMnistOptions(Options):
    """Options of ``medmnist``."""

    subset: str = Field("pathmnist", description="Which set, for instance bloodmnist.")
    size: Literal[28, 64, 128, 224] = Field(28, description="Side of the images, in pixels.")
    use_validation: bool = Field(
        True,
        description="Whether the set's validation split is trained on too; bigan sets aside "
        "validation images of its own.",
    )


class MedMnist(Dataset):
    """One set of MedMNIST, from ``<subset>.npz`` or ``<subset>_<size>.npz``.

    The file is looked for in ``ROOT/medmnist`` and in ROOT itself, and fetched to the former.
    Classes that the set itself calls normal are normal by default. In a set with several labels
    an image (``chestmnist``) its class is its only finding, ``no finding``, which is normal, or
    ``several findings``. Grades (``retinamnist``) are classes.

    Raises:
        UsageError: There is no such set.
    """

    name = "medmnist"
    summary = "MedMNIST: twelve sets of medical images, 28 to 224 pixels, grey or RGB"
    Options = MedMnistOptions

    def __init__(self, options: MedMnistOptions, location: DataLocation) -> None:
        super().__init__(options, location)
        self._about = about(options.subset)
        self.image_shape = ImageShape(self._about.channels, options.size, options.size)

    def train_items(self) -> Items:
        """Return the training split, and the validation split unless that is not to be used.

        Raises:
            DataError: The file is not there and cannot be fetched, or is damaged.
        """
        return self._items("train", "val") if self.options.use_validation else self._items("train")

    def test_items(self) -> Items:
        """Return the test split.

        Raises:
            DataError: The file is not there and cannot be fetched, or is damaged.
        """
        return self._items("test")

    def classes(self) -> tuple[str, ...]:
        """Return the names that MedMNIST gives to the labels."""
        labels = self._about.labels
        return (_NO_FINDING, *labels, _SEVERAL) if self._about.multi_label else labels

    def normal_classes(self) -> tuple[int, ...] | None:
        """Return the classes called normal, or None where no name says so."""
        telling = [
            number
            for number, name in enumerate(self.classes())
            if name == _NO_FINDING or name.startswith("normal")
        ]
        return tuple(telling) or None

    def _items(self, *splits: str) -> Items:
        file = find(self._about, self.options.size, self.location)
        parts = [read(file, split, self._about, self.options.size) for split in splits]
        images = [images for images, _ in parts]
        labels = np.concatenate([self._classes_of(labels) for _, labels in parts])
        return Items(images[0] if len(images) == 1 else np.concatenate(images), labels)

    def _classes_of(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class of each image from its row of *labels*, int64 ``[N, L]``."""
        if not self._about.multi_label:
            return labels[:, 0]
        findings = labels.sum(axis=1)
        single = np.where(findings == 1, labels.argmax(axis=1) + 1, 0)
        return np.where(findings > 1, len(self._about.labels) + 1, single)


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide ``medmnist``."""
    return [MedMnist]
