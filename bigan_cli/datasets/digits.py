"""scikit-learn's handwritten digits: small, real, and part of the installation."""

from __future__ import annotations

from typing import ClassVar

from bigan_cli.contracts import Dataset, ImageShape, Items
from bigan_cli.hookspecs import hookimpl


class Digits(Dataset):
    """1,797 real handwritten digits, 8x8 grey, about 180 of each.

    scikit-learn ships them as one set. The split is fixed here: of each class, every fifth
    image in the order they come (the 5th, 10th, ...) belongs to the test split, 355 in all.
    Values 0 to 16 become round(v * 255 / 16).
    """

    name = "digits"
    summary = "scikit-learn's 1,797 handwritten digits, 8x8 grey, no download"
    image_shape = ImageShape(1, 8, 8)
    class_names = tuple("0123456789")
    # An epoch has one or two dozen steps.
    preset: ClassVar = {"train": {"epochs": 100}}

    def train_items(self) -> Items:
        """Return the four fifths of each class that are for training."""
        return _items(test=False)

    def test_items(self) -> Items:
        """Return every fifth image of each class."""
        return _items(test=True)


def _items(test: bool) -> Items:
    import numpy as np
    from sklearn.datasets import load_digits

    bundled = load_digits()
    labels = bundled.target.astype(np.int64)
    # In integers, since 8 * 255 / 16 is a tie.
    pixels = ((bundled.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    place_in_class = np.zeros(len(labels), np.int64)
    for label in range(10):
        of_class = labels == label
        place_in_class[of_class] = np.arange(np.count_nonzero(of_class))
    chosen = np.flatnonzero((place_in_class % 5 == 4) == test)
    return Items(pixels[chosen], labels[chosen], names=[f"digits/{i:04d}" for i in chosen])


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [Digits]
