"""Write scikit-learn's handwritten digits as PNG files, one folder for each class.

    python examples/digits_to_png.py FOLDER
    python examples/digits_to_png.py FOLDER --split test

The second writes only the images that the dataset ``digits`` keeps for testing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from bigan_cli.contracts import DataLocation, Items, Options
from bigan_cli.datasets.digits import Digits


def write(items: Items, folder: Path) -> int:
    """Write *items* to ``folder/<class>/<number>.png`` and return how many there were."""
    for pixels, label, name in zip(items.images, items.labels, items.names or (), strict=True):
        path = folder / str(label) / f"{Path(name).name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return len(items)


def main() -> None:
    """Read the arguments, write the files and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where to write; made where it is missing")
    parser.add_argument("--split", choices=("train", "test", "all"), default="all")
    chosen = parser.parse_args()
    digits = Digits(Options(), DataLocation(chosen.folder))
    count = 0
    if chosen.split != "test":
        count += write(digits.train_items(), chosen.folder)
    if chosen.split != "train":
        count += write(digits.test_items(), chosen.folder)
    print(f"wrote {count} images to {chosen.folder}")


if __name__ == "__main__":
    main()
