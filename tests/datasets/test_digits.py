from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from bigan_cli.contracts import DataLocation, Options
from bigan_cli.datasets.digits import Digits

SCRIPT = Path(__file__).parents[2] / "examples" / "digits_to_png.py"


def digits() -> Digits:
    return Digits(Options(), DataLocation(Path("unused")))


def test_splits_hold_every_image_once_and_a_fifth_of_each_class_is_for_testing() -> None:
    train, test = digits().train_items(), digits().test_items()
    assert (len(train), len(test)) == (1442, 355)
    assert len({*train.names, *test.names}) == 1797
    for label in range(10):
        in_train = np.count_nonzero(train.labels == label)
        in_test = np.count_nonzero(test.labels == label)
        assert in_test == (in_train + in_test) // 5


def test_pixels_are_exactly_scaled() -> None:
    bundled = load_digits()
    for items in (digits().train_items(), digits().test_items()):
        for pixels, label, name in zip(items.images, items.labels, items.names, strict=True):
            number = int(name.removeprefix("digits/"))
            value = bundled.images[number]
            assert pixels.dtype == np.uint8
            assert label == bundled.target[number]
            # Exact halves are rounded up.
            assert np.array_equal(pixels, np.floor(value * 255 / 16 + 0.5))
    assert {0, 128, 255} <= set(np.unique(digits().train_items().images))


@pytest.mark.slow
def test_example_script_writes_them_as_files(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, tmp_path, "--split", "test"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"wrote 355 images to {tmp_path}\n"
    test = digits().test_items()
    assert len(list(tmp_path.rglob("*.png"))) == 355
    for pixels, label, name in zip(test.images, test.labels, test.names, strict=True):
        with Image.open(tmp_path / str(label) / f"{Path(name).name}.png") as image:
            assert np.array_equal(np.asarray(image), pixels)
