"""MNIST: handwritten digits."""

from __future__ import annotations

from bigan_cli.contracts import Dataset
from bigan_cli.datasets._torchvision import IdxDataset
from bigan_cli.hookspecs import hookimpl


class Mnist(IdxDataset):
    """Handwritten digits of LeCun, Cortes and Burges: 60,000 + 10,000, 28x28 grey."""

    name = "mnist"
    summary = "70,000 handwritten digits, 28x28 grey"
    class_names = tuple("0123456789")
    torchvision_name = "MNIST"


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [Mnist]
