"""Lay out the ELPV solar cells as a folder of normal and defective photographs.

    pip install elpv-dataset
    python benchmarks/elpv.py build/elpv-mono --kind mono --seed 0
    bigan train --dataset folder --data-root build/elpv-mono

ELPV (Buerhop-Lutz et al. 2018; Deitsch et al. 2019, arXiv 1807.02894) has 2,624 electroluminescence
images of 300x300 pixels, each with a probability of being defective. Cells of probability 0 are
normal, those of probability 1 anomalous, all others are left out. Of the normal cells 70 %, by
seed, are for training and the rest for testing.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np

_TRAIN_SHARE = 0.7


def lay_out(
    source: Path, folder: Path, kind: str, seed: int, limit: int | None = None
) -> dict[str, int]:
    """Copy the cells of a kind into *folder* and return how many each subfolder has.

    Args:
        source: The folder ``data`` of the package, with ``labels.csv``.
        folder: Made; gets ``train/good``, ``test/good`` and ``test/defective``.
        kind: ``mono`` or ``poly``.
        seed: Decides which normal cells are for training.
        limit: Most images of a subfolder; None for all.

    Raises:
        FileExistsError: A subfolder exists already.
    """
    rows = [line.split() for line in (source / "labels.csv").read_text().splitlines()]
    cells = [(name, float(probability)) for name, probability, which in rows if which == kind]
    normal = [name for name, probability in cells if probability == 0]
    order = np.random.default_rng(seed).permutation(len(normal))
    border = int(_TRAIN_SHARE * len(normal))
    parts = {
        "train/good": [normal[i] for i in order[:border]],
        "test/good": [normal[i] for i in order[border:]],
        "test/defective": [name for name, probability in cells if probability == 1],
    }
    for part, names in parts.items():
        (folder / part).mkdir(parents=True)
        for name in names[:limit]:
            shutil.copy(source / name, folder / part / Path(name).name)
    return {part: len(names[:limit]) for part, names in parts.items()}


def installed() -> Path:
    """Return the folder of the images of the installed package.

    Raises:
        SystemExit: It is not installed.
    """
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise SystemExit("error: elpv-dataset is not installed\nhint: pip install elpv-dataset")
    return Path(spec.origin).parent / "data"


def main() -> None:
    """Write the folder that the command line describes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=("mono", "poly"), default="mono", help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    parser.add_argument("--limit", type=int, help="most images of a subfolder [all]")
    chosen = parser.parse_args()
    try:
        counts = lay_out(installed(), chosen.folder, chosen.kind, chosen.seed, chosen.limit)
    except FileExistsError:
        parser.error(f"{chosen.folder} has images already; name another folder")
    for part, count in counts.items():
        print(f"{part}: {count}")


if __name__ == "__main__":
    main()
