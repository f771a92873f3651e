"""Data for the benchmarks: image files made once, and the words that name a dataset."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from children import bigan, run

SEED = 0
# The number of different pictures; files are copies of them.
_DIFFERENT = 64


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the folder of MNIST; see :func:`dataset_words`."""
    parser.add_argument(
        "--data-root",
        type=Path,
        default=os.environ.get("BIGAN_DATA_DIR"),
        help="folder with MNIST/raw [BIGAN_DATA_DIR; else scikit-learn's digits, enlarged]",
    )


def dataset_words(root: Path | None, inlier: int = 8) -> list[object]:
    """Return the options that name MNIST in *root*, or the digits at the same size."""
    words: list[object] = ["--inlier", inlier, "--no-download"]
    if root is None:
        return ["--dataset", "digits", "--image-size", 28, *words]
    return ["--dataset", "mnist", "--data-root", root, *words]


def write_files(folder: Path, count: int, kind: str) -> Path:
    """Make *folder* hold *count* files of *kind*, a thousand in each folder below it.

    Args:
        folder: Kept as it is where it holds them already.
        count: Of files.
        kind: ``png`` (28x28, grey), ``jpeg`` (1024x768, RGB) or ``jpeg256`` (256x256, RGB).

    Returns:
        *folder*.
    """
    done = folder / ".complete"
    if done.exists() and done.read_text(encoding="ascii") == f"{kind} {count}":
        return folder
    # In a child, so that this process, which starts others, stays small.
    run([sys.executable, __file__, folder, count, kind])
    done.write_text(f"{kind} {count}", encoding="ascii")
    return folder


def read_all(folder: Path) -> None:
    """Read every file below *folder*, so that no contender waits for the disk."""
    for path in folder.rglob("*.*"):
        if path.is_file():
            path.read_bytes()


def train(save_dir: Path, words: Sequence[object], environment: dict[str, str]) -> Path:
    """Train a run for others to use; it need not be good."""
    usual = ["--epochs", 2, "--seed", SEED, "--device", "cpu", "--overwrite"]
    run(bigan("train", *words, *usual, "--save-dir", save_dir), environment=environment)
    return save_dir


def _write(folder: Path, count: int, kind: str) -> None:
    files = islice(cycle(_encoded(kind)), count)
    suffix = "png" if kind == "png" else "jpg"
    for i, content in enumerate(files):
        part = folder / f"{i // 1000:04}"
        if i % 1000 == 0:
            part.mkdir(parents=True, exist_ok=True)
        (part / f"{i:06}.{suffix}").write_bytes(content)


def _encoded(kind: str) -> list[bytes]:
    return list(_pngs() if kind == "png" else _jpegs(1024 if kind == "jpeg" else 256))


def _pngs() -> Iterator[bytes]:
    """Yield handwritten digits, enlarged to 28x28."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    for digit in load_digits().images[:_DIFFERENT]:
        image = Image.fromarray((digit * 255 / 16).round().astype(np.uint8)).resize((28, 28))
        yield _bytes_of(image, "PNG")


def _jpegs(width: int) -> Iterator[bytes]:
    """Yield what compresses like photographs: noise at every scale, 4 to 3 or square."""
    import numpy as np
    from PIL import Image

    size = (width, width * 3 // 4) if width > 256 else (width, width)
    draw = np.random.default_rng(SEED)
    for _ in range(_DIFFERENT):
        total = np.zeros((size[1], size[0], 3), np.float32)
        for scale in (4, 16, 64, 256):
            small = draw.integers(0, 256, (scale * 3 // 4, scale, 3)).astype(np.uint8)
            layer = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
            total += np.asarray(layer, np.float32) / scale
        image = Image.fromarray((total * 255 / total.max()).astype(np.uint8))
        yield _bytes_of(image, "JPEG", quality=85)


def _bytes_of(image: object, name: str, **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)  # type: ignore[attr-defined]
    return stream.getvalue()


if __name__ == "__main__":
    _write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
