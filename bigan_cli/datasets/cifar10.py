"""CIFAR-10: small natural images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bigan_cli.contracts import Dataset, ImageShape, Items
from bigan_cli.datasets._torchvision import download
from bigan_cli.errors import DataError
from bigan_cli.hookspecs import hookimpl

_FOLDER = "cifar-10-batches-py"
_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST = ("test_batch",)
_META = ("batches.meta",)


class Cifar10(Dataset):
    """Krizhevsky's CIFAR-10: 50,000 + 10,000 natural images, 32x32 RGB.

    torchvision reads it from ``ROOT/cifar-10-batches-py`` and verifies the published checksums.
    The dataset ``folder`` reads a copy as image files in class folders.
    """

    name = "cifar10"
    summary = "60,000 photographs of ten kinds of things, 32x32 RGB"
    image_shape = ImageShape(3, 32, 32)
    class_names = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    # Natural images have an orientation, and objects a usual position. E(x) depends more on colours
    # than on the class, so D is most informative, and more so with twice the feature maps. D still
    # improves when the reconstruction error no longer does.
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "train": {
            "distortion_weight": 1.0,
            "distortions": ["elastic_coarse", "elastic_fine"],
            "rotation_weight": 1.0,
            "shift_weight": 1.0,
            "selection": "last",
        },
        "model": {"options": {"feature_maps_disc": 64}},
        "score": {"weights": {"distortion": 1.0, "latent_neighbours": 0.0}},
    }

    def train_items(self) -> Items:
        """Return the training split, 50,000 images.

        Raises:
            DataError: The files are not there and cannot be fetched, or are damaged.
        """
        return self._items(train=True)

    def test_items(self) -> Items:
        """Return the test split, 10,000 images.

        Raises:
            DataError: The files are not there and cannot be fetched, or are damaged.
        """
        return self._items(train=False)

    def _items(self, train: bool) -> Items:
        folder = self.location.root / _FOLDER
        expected = _TRAIN + _TEST + _META
        if not all((folder / name).is_file() for name in expected):
            download(self, "CIFAR10", folder, expected)
        import numpy as np
        from torchvision.datasets import CIFAR10

        try:
            split: Any = CIFAR10(root=self.location.root, train=train, download=False)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"the files in {folder} are damaged (a checksum differs)",
                "remove the folder to have it fetched again",
            ) from error
        return Items(split.data, np.asarray(split.targets, np.int64))


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [Cifar10]
