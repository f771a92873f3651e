"""Fashion-MNIST: articles of clothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bigan_cli.contracts import Dataset
from bigan_cli.datasets._torchvision import IdxDataset
from bigan_cli.hookspecs import hookimpl


class FashionMnist(IdxDataset):
    """Zalando's article images (arXiv 1708.07747): 60,000 + 10,000, 28x28 grey."""

    name = "fashion_mnist"
    summary = "70,000 pictures of clothing, 28x28 grey"
    class_names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    torchvision_name = "FashionMNIST"
    # Garments often differ only in their aspect ratio, and those of a class vary in few directions,
    # which Mahalanobis distances take into account.
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "train": {
            "distortions": [
                "elastic_coarse",
                "elastic_fine",
                "shuffle",
                "cutmix",
                "rotate",
                "rescale",
            ],
        },
        "score": {
            "components": [
                "distortion",
                "rotation",
                "encoder_neighbours",
                "latent_neighbours",
                "discriminator_neighbours",
                "encoder_mahalanobis",
                "discriminator_mahalanobis",
                "reconstruction",
                "discriminator",
            ],
            "weights": {"discriminator_neighbours": 2.0},
        },
    }


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [FashionMnist]
