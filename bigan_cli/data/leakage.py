"""The leakage check: images with identical content in two splits of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.image_set import ImageSet

_EXAMPLES = 5
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Overlap:
    """Images that occur in two splits.

    Attributes:
        first: Name of one split.
        second: Name of the other.
        images: How many images of *second* have the same pixels as one of *first*.
        examples: Names of up to five pairs, (in *first*, in *second*).
    """

    first: str
    second: str
    images: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LeakageReport:
    """The result of comparing all images of all splits by their pixels.

    Each image of the dataset is in at most one split, so an overlap means that the dataset
    itself has the image twice. Images count as equal when their pixels are, at the size
    and with the channels of the run.

    Attributes:
        overlaps: One entry for each pair of splits that share images.
    """

    overlaps: tuple[Overlap, ...]

    def notes(self) -> tuple[str, ...]:
        """Return one sentence for each overlap; none if there are no overlaps."""
        return tuple(
            f"{o.images} {o.second} images are identical to {o.first} images in the dataset "
            f"itself (for instance {o.examples[0][1]} and {o.examples[0][0]})"
            for o in self.overlaps
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {
            "overlaps": [
                {
                    "splits": [o.first, o.second],
                    "images": o.images,
                    "examples": [list(pair) for pair in o.examples],
                }
                for o in self.overlaps
            ]
        }


def content_digests(pixels: NDArray[np.uint8]) -> list[bytes]:
    """Return one 16-byte digest for each image of *pixels*, uint8 ``[N, C, H, W]``."""
    return [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=_DIGEST_BYTES).digest()
        for image in pixels
    ]


def audit_splits(
    sets: Mapping[str, ImageSet], digests: Mapping[str, Sequence[bytes]]
) -> LeakageReport:
    """Compare every pair of *sets* by the *digests* of their images, in the same order."""
    overlaps = []
    for first, second in combinations(sets, 2):
        seen: dict[bytes, int] = {}
        for i, digest in enumerate(digests[first]):
            seen.setdefault(digest, i)
        pairs = [(seen[d], i) for i, d in enumerate(digests[second]) if d in seen]
        if pairs:
            examples = tuple(
                (sets[first].names[i], sets[second].names[j]) for i, j in pairs[:_EXAMPLES]
            )
            overlaps.append(Overlap(first, second, len(pairs), examples))
    return LeakageReport(tuple(overlaps))
