"""What a self-test found, in counts and in words, and its file in a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bigan_cli.atomic import write_text
from bigan_cli.evaluation.synthetic_defects import KINDS, Kind
from bigan_cli.plugins.names import join_words
from bigan_cli.regular_files import read_regular_file
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.storage.run_schema import parse_self_test

# A difference of a larger p-value is within chance.
_SIGNIFICANT = 0.05
# A size counts as found if this share of its defects is.
_FOUND = 2 / 3
_LARGEST = 16_000_000  # bytes of a stored self-test


@dataclass(frozen=True)
class FoundDefects:
    """How many defects of one kind and size were found.

    Attributes:
        kind: Of the defects.
        pixels: Their length, at the size that the networks see.
        found: How many are called anomalous by the detector.
        untrained: The same of the untrained networks.
        pca: The same of PCA on the pixels.
        total: How many there are.
    """

    kind: str
    pixels: int
    found: int
    untrained: int
    pca: int
    total: int


@dataclass(frozen=True)
class DiscordantPairs:
    """How many of the same defects only one of two detectors finds.

    Attributes:
        model: Found by the model alone.
        other: Found by the other detector alone.
    """

    model: int
    other: int

    def p_value(self) -> float:
        """Return the two-sided p-value of the exact McNemar test, that both find as many."""
        from scipy.stats import binomtest

        number = self.model + self.other
        return float(binomtest(self.model, number).pvalue) if number else 1.0


@dataclass(frozen=True)
class SelfTest:
    """What a self-test found.

    Attributes:
        model_sha256: The checksum of the tested model file.
        fpr: The false-positive rate of the threshold.
        image_size: Height and width of the images as the networks see them.
        rows: By kind and size.
        versus_untrained: The model compared with the untrained networks, on all defects.
        versus_pca: The same with PCA on the pixels.
    """

    model_sha256: str
    fpr: float
    image_size: tuple[int, int]
    rows: tuple[FoundDefects, ...]
    versus_untrained: DiscordantPairs
    versus_pca: DiscordantPairs

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "model_sha256": self.model_sha256,
            "fpr": self.fpr,
            "image_size": list(self.image_size),
            "defects": [asdict(row) for row in self.rows],
            "versus_untrained": asdict(self.versus_untrained),
            "versus_pca": asdict(self.versus_pca),
        }

    def verdict(self) -> str:
        """Return in one sentence whether the model is usable."""
        by_size: dict[int, list[str]] = {}
        weak = []
        for kind in KINDS:
            size = self._found_from(kind)
            if size is None:
                weak.append(kind)
            else:
                by_size.setdefault(size, []).append(kind)
        if not by_size:
            return (
                "not ready to use: it finds no kind of synthetic defect; try a larger "
                "'data.image_size', or more images"
            )
        found = ", ".join(
            f"{join_words(by_size[size])} defects from {size} pixels on" for size in sorted(by_size)
        )
        but = f"; weak on {join_words(weak)} defects" if weak else ""
        height, width = self.image_size
        return f"ready to use: finds {found}, at the model's {height}x{width}{but}"

    def remarks(self) -> list[str]:
        """Return what the figures mean, and what to change."""
        lines = []
        for kind in KINDS:
            size = self._found_from(kind)
            lines.append(
                f"does not find {kind} defects: try a larger 'data.image_size'"
                if size is None
                else f"finds {kind} defects from {size} pixels on"
            )
        return lines + self.shortcomings()

    def shortcomings(self) -> list[str]:
        """Return what training and the networks did not gain, and what to change."""
        lines = []
        found, untrained, pca, total = (
            sum(getattr(row, name) for row in self.rows)
            for name in ("found", "untrained", "pca", "total")
        )
        if found <= untrained:
            lines.append(
                f"training gained nothing: {found} of {total} found, {untrained} by the untrained "
                "networks. The pretrained features do the work here; a larger 'data.image_size' "
                "or more images help more than 'train.epochs'"
            )
        elif (p_value := self.versus_untrained.p_value()) > _SIGNIFICANT:
            lines.append(
                f"training made no clear difference: {found} of {total} found, {untrained} by the "
                f"untrained networks, within chance (exact McNemar test, p = {p_value:.2g})"
            )
        if found <= pca:
            lines.append(
                f"the networks gained nothing over PCA on the pixels, which finds {pca} of "
                f"{total}, and the model {found}: try a larger 'data.image_size', or more images"
            )
        elif (p_value := self.versus_pca.p_value()) > _SIGNIFICANT:
            lines.append(
                f"the networks are not clearly better than PCA on the pixels: {found} of {total} "
                f"found, {pca} by PCA, within chance (exact McNemar test, p = {p_value:.2g})"
            )
        return lines

    def _found_from(self, kind: Kind) -> int | None:
        """Return the smallest length from which on defects of a kind are found; None if none."""
        smallest = None
        for row in sorted((r for r in self.rows if r.kind == kind), key=lambda row: -row.pixels):
            if row.found < _FOUND * row.total:
                break
            smallest = row.pixels
        return smallest


def write_self_test(run: RunDirectory, test: SelfTest) -> None:
    """Write ``stats/self_test.json``."""
    file = run.claim(run.self_test_file)
    write_text(file, json.dumps(test.as_dict(), indent=2) + "\n")


def read_self_test(run: RunDirectory) -> SelfTest | None:
    """Return the stored self-test of a run; None if there is none that is whole."""
    try:
        stored = parse_self_test(read_regular_file(run.self_test_file, _LARGEST))
    except (OSError, ValueError):
        return None
    rows = tuple(FoundDefects(**row) for row in stored["defects"])
    height, width = stored["image_size"]
    return SelfTest(
        stored["model_sha256"],
        stored["fpr"],
        (height, width),
        rows,
        DiscordantPairs(**stored["versus_untrained"]),
        DiscordantPairs(**stored["versus_pca"]),
    )
