"""The HTML page of a comparison of runs: one file that needs nothing else, without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bigan_cli.atomic import write_text
from bigan_cli.evaluation.comparison import Difference
from bigan_cli.evaluation.metrics import Estimate, Rate
from bigan_cli.report.html.charts import ScoreAxis, Tick
from bigan_cli.report.html.render import environment, template_text

# More points cannot be distinguished; images on which two runs differ are all drawn.
_MOST_POINTS = 2500


@dataclass(frozen=True, eq=False)
class RunScores:
    """One run of a comparison.

    Attributes:
        name: Short, and different from that of the others.
        fpr: The false-positive rate of its threshold.
        threshold: Scores above it are flagged.
        auroc: With a 95 % interval.
        false_positives: Normal images that it flags.
        true_positives: Anomalies that it flags.
        difference: Its metrics minus those of the first run; None of the first.
        score: float64 ``[N]``.
        anomalous: bool ``[N]``, the label at its threshold.
        class_auroc: Of each class, in the order of the page; None where it cannot be computed.
    """

    name: str
    fpr: float
    threshold: float
    auroc: Estimate
    false_positives: Rate
    true_positives: Rate
    difference: Difference | None
    score: NDArray[np.float64]
    anomalous: NDArray[np.bool_]
    class_auroc: tuple[float | None, ...]


@dataclass(frozen=True)
class DifferingImage:
    """An image that two runs label differently.

    Attributes:
        name: Of the image.
        label: Its class.
        outlier: Whether it is an anomaly.
        scores: By the first and by the other run.
        picture: A data URI; empty if the image could not be read.
    """

    name: str
    label: str
    outlier: bool
    scores: tuple[float, float]
    picture: str


@dataclass(frozen=True)
class Pairing:
    """What one run does otherwise than the first.

    Attributes:
        other: The run that is compared with the first.
        only_right: Images that it labels correctly and the first does not, the clearest first.
        only_wrong: Images that the first labels correctly and it does not.
        right: How many images it alone labels correctly, those that are not shown included.
        wrong: How many the first alone labels correctly.
    """

    other: RunScores
    only_right: tuple[DifferingImage, ...]
    only_wrong: tuple[DifferingImage, ...]
    right: int
    wrong: int


@dataclass(frozen=True, eq=False)
class ComparisonPage:
    """The content of the page.

    Attributes:
        title: What was compared on.
        created: Date and time.
        runs: The first is the one that the others are compared with.
        pairings: One for each run but the first.
        outlier: bool ``[N]``, the truth.
        names: Of the N images.
        classes: (name, whether it is anomalous, number of images) of each class.
        seed: Of the bootstrap.
        commands: (purpose, command line) of what repeats it.
    """

    title: str
    created: str
    runs: tuple[RunScores, ...]
    pairings: tuple[Pairing, ...]
    outlier: NDArray[np.bool_]
    names: tuple[str, ...]
    classes: tuple[tuple[str, bool, int], ...]
    seed: int
    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Point:
    x: float
    y: float
    style: str
    text: str


@dataclass(frozen=True)
class _Scatter:
    points: tuple[_Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_threshold: float
    y_threshold: float
    x_label: str
    y_label: str


def write_comparison(path: Path, page: ComparisonPage) -> None:
    """Write the page to *path*, whole or not at all."""
    document = (
        environment()
        .get_template("comparison.html.j2")
        .render(
            page=page,
            style=Markup(template_text("style.css")),  # noqa: S704  our own file
            verdicts=[verdict(page.runs[0], each.other) for each in page.pairings],
            scatters=[_scatter(page, each.other) for each in page.pairings],
        )
    )
    write_text(path, document + "\n")


def verdict(first: RunScores, other: RunScores) -> str:
    """Return which of two runs is better, and by how much, in one sentence."""
    assert other.difference is not None  # noqa: S101  of all runs but the first
    gain, result = other.difference.auroc, other.difference.verdict
    areas = f"AUROC {other.auroc.value:.3f} against {first.auroc.value:.3f}"
    if result == "no clear difference":
        return f"Between {other.name} and {first.name} there is no clear difference: {areas}."
    return f"{other.name} is {result} than {first.name} by {abs(gain.value):.3f}: {areas}."


def _scatter(page: ComparisonPage, other: RunScores) -> _Scatter:
    first = page.runs[0]
    normal = ~page.outlier
    axes = [
        ScoreAxis(
            run.score[normal] if normal.any() else run.score, np.append(run.score, run.threshold)
        )
        for run in (first, other)
    ]
    xs, ys = (axis.at(run.score) for axis, run in zip(axes, (first, other), strict=True))
    return _Scatter(
        tuple(
            _Point(
                round(float(xs[i]), 2),
                round(100 - float(ys[i]), 2),
                "anomaly" if page.outlier[i] else "normal",
                f"{page.names[i]}: {first.score[i]:.3f}, {other.score[i]:.3f}",
            )
            for i in _shown(first.anomalous != other.anomalous)
        ),
        axes[0].ticks(),
        axes[1].ticks(),
        x_threshold=round(float(axes[0].at(first.threshold)), 2),
        y_threshold=round(100 - float(axes[1].at(other.threshold)), 2),
        x_label=axes[0].label,
        y_label=axes[1].label,
    )


def _shown(differs: NDArray[np.bool_]) -> Sequence[int]:
    """Return the numbers of the images to draw: all that differ, and a sample of the others."""
    always, rest = np.flatnonzero(differs), np.flatnonzero(~differs)
    room = max(0, _MOST_POINTS - len(always))
    sample = np.random.default_rng(0).permutation(rest)[:room]
    shown: list[int] = np.sort(np.concatenate([always[:_MOST_POINTS], sample])).tolist()
    return shown
