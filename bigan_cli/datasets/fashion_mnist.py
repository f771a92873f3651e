"""Fashion-MNIST: articles of clothing."""

from __future__ import annotations

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


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the data set."""
    return [FashionMnist]
