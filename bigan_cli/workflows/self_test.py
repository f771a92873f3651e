"""A test of a detector with synthetic defects, where no real ones are available."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.atomic import write_text
from bigan_cli.evaluation.synthetic_defects import KINDS, paint
from bigan_cli.scoring.detector import Detector
from bigan_cli.storage.run_directory import RunDirectory

# Lengths of the defects, as shares of the short side.
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
_EACH = 3
# A size counts as found if this share of its defects is.
_FOUND = 2 / 3


@dataclass(frozen=True)
class FoundDefects:
    """How many defects of one kind and size were found.

    Attributes:
        kind: Of the defects.
        pixels: Their length, at the size that the networks see.
        found: How many are called anomalous by the detector.
        untrained: The same of the untrained networks.
        total: How many there are.
    """

    kind: str
    pixels: int
    found: int
    untrained: int
    total: int


@dataclass(frozen=True)
class SelfTest:
    """What a self-test found.

    Attributes:
        fpr: The false-positive rate of the threshold.
        rows: By kind and size.
    """

    fpr: float
    rows: tuple[FoundDefects, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"fpr": self.fpr, "defects": [asdict(row) for row in self.rows]}

    def remarks(self) -> list[str]:
        """Return what the figures mean, and what to change."""
        lines = []
        for kind in KINDS:
            sizes = [row.pixels for row in self.rows if row.kind == kind and _is_found(row)]
            lines.append(f"finds {kind} defects from {min(sizes)} pixels on" if sizes else "")
            if not sizes:
                lines[-1] = f"does not find {kind} defects: try a larger 'data.image_size'"
        found, untrained = (sum(getattr(r, x) for r in self.rows) for x in ("found", "untrained"))
        total = sum(row.total for row in self.rows)
        if found <= untrained:
            lines.append(
                f"training gained nothing: {found} of {total} found, {untrained} by the untrained "
                "networks, whose fixed components (neighbours of pretrained features) do the work"
            )
        return lines


def self_test(run: RunDirectory, pixels: NDArray[np.uint8], **detectors: Detector) -> SelfTest:
    """Paint defects on normal images, count those found, and write ``stats/self_test.json``.

    Nothing is drawn from any global random generator. After cross-fitting the images were also
    trained on, which makes their defects harder to find than those of new images.

    Args:
        run: Where to write.
        pixels: Normal images, uint8 ``[N, C, H, W]``, best those of the calibration.
        **detectors: ``trained`` and ``untrained``.
    """
    rng = np.random.default_rng(0)
    side = min(pixels.shape[2:])
    cells = [(kind, max(2, round(share * side))) for kind in KINDS for share in _SHARES]
    painted = []
    for kind, size in (cell for cell in cells for _ in range(_EACH)):
        image, donor = pixels[rng.choice(len(pixels), 2)]
        painted.append(paint(image, donor, kind, size, rng))
    trained, untrained = (
        detectors[name].predict(np.stack(painted)).reshape(len(cells), _EACH).sum(axis=1)
        for name in ("trained", "untrained")
    )
    rows = tuple(
        FoundDefects(kind, size, int(trained[i]), int(untrained[i]), _EACH)
        for i, (kind, size) in enumerate(cells)
    )
    found = SelfTest(detectors["trained"].default_fpr, rows)
    write_text(run.claim(run.self_test_file), json.dumps(found.as_dict(), indent=2) + "\n")
    return found


def _is_found(row: FoundDefects) -> bool:
    return row.found >= _FOUND * row.total
