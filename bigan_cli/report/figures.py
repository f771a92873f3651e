"""Figures as PNG files: losses, ROC and precision-recall curves, and score histograms.

Each function takes plain numbers, draws one figure without a display and without changing
matplotlib's global settings, and writes the file at *path* atomically. Ground truth is
``outlier`` (bool ``[N]``), scores are finite floats ``[N]``, higher for anomalies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from bigan_cli.report.binning import bins, linear_width, ticks
from bigan_cli.report.mpl_style import ANOMALY, LINES, MUTED, NORMAL, TEXT, figure, legend_below

Floats = NDArray[np.float64]

DPI = 120

# With fewer epochs, each one has a marker.
_MARKED_EPOCHS = 40
_LOG_RATIO = 30.0


def losses(path: Path, records: Sequence[Mapping[str, Any]], *, dpi: int = DPI) -> None:
    """Draw the losses and the validation error over the epochs, from ``metrics.jsonl``.

    There is a panel for the adversarial losses, one for the cycle losses (those with ``cycle`` in
    their name, if any), and one for the validation error. Losses that are always zero are left
    out. The best epoch is marked in each panel.

    Args:
        path: The PNG file.
        records: One or more, each with ``epoch``, ``losses`` (name -> mean over the epoch) and
            ``validation``, and optionally ``best``. Of several records of an epoch the
            last one counts; missing values leave a gap.
        dpi: Dots per inch.

    Raises:
        ValueError: There are no records.
    """
    if not records:
        raise ValueError("no epochs to draw")
    by_epoch = {int(record["epoch"]): record for record in records}
    epochs = sorted(by_epoch)
    rows = [by_epoch[epoch] for epoch in epochs]
    names = dict.fromkeys(name for row in rows for name in row["losses"])
    columns = {name: _column([row["losses"].get(name) for row in rows]) for name in names}
    columns = {name: values for name, values in columns.items() if values.any()}
    panels = {
        "Discriminator against encoder and generator": [n for n in columns if "cycle" not in n],
        "Cycle losses": [n for n in columns if "cycle" in n],
    }
    curves = [(title, {n: columns[n] for n in some}) for title, some in panels.items() if some]
    validation = _column([row.get("validation") for row in rows])
    best = next((e for e in reversed(epochs) if by_epoch[e].get("best")), None)
    with figure(path, (4.6 * (len(curves) + 1), 4.0), dpi, columns=len(curves) + 1) as axes:
        for axis, (title, lines) in zip(axes, curves, strict=False):
            axis.set_title(title)
            for (name, values), colour in zip(lines.items(), _cycled(len(lines)), strict=True):
                _over_epochs(axis, epochs, values, colour, name)
        axes[-1].set_title("Validation, lower is better")
        _over_epochs(axes[-1], epochs, validation, NORMAL, "validation images")
        for axis in axes:
            _finish_epochs(axis)
            if best is not None:
                axis.axvline(best, color=MUTED, linewidth=1, linestyle=":")
        if best is not None:
            value = float(validation[epochs.index(best)])
            label = f"best: epoch {best}" + (f", {value:.4g}" if np.isfinite(value) else "")
            axes[-1].plot([best], [value], "*", color=ANOMALY, markersize=13, label=label, zorder=4)
        for axis in axes:
            legend_below(axis)


def roc(
    path: Path,
    outlier: ArrayLike,
    scores: ArrayLike,
    *,
    auroc: float,
    interval: tuple[float, float] | None = None,
    operating_point: tuple[float, float] | None = None,
    untrained: tuple[ArrayLike, float] | None = None,
    dpi: int = DPI,
) -> None:
    """Draw the ROC curve.

    Args:
        path: The PNG file.
        outlier: bool ``[N]``, the truth; both kinds must be present.
        scores: float ``[N]``.
        auroc: The area under the curve, for the title.
        interval: Its 95 % interval (low, high).
        operating_point: False- and true-positive rate at the calibrated threshold.
        untrained: The untrained network's scores of the same images, ``[N]``, and the area
            under its curve.
        dpi: Dots per inch.

    Raises:
        ValueError: One kind is absent, or scores are not finite or of another length.
    """
    from sklearn.metrics import roc_curve

    truth, values = _both_kinds(outlier, scores)
    with figure(path, (5.2, 6.4), dpi) as (axis,):
        axis.set_title(f"AUROC {auroc:.3f}{_interval(interval)}")
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="chance, 0.500")
        if untrained is not None:
            before, area = untrained
            false, true, _ = roc_curve(*_both_kinds(outlier, before))
            label = f"untrained network, {area:.3f}"
            axis.plot(false, true, color=MUTED, linewidth=1.4, label=label)
        false, true, _ = roc_curve(truth, values)
        axis.plot(
            false, true, color=NORMAL, linewidth=2.2, label=f"{_which(untrained)}, {auroc:.3f}"
        )
        axis.fill_between(false, true, color=NORMAL, alpha=0.08, linewidth=0)
        if operating_point is not None:
            x, y = operating_point
            label = f"calibrated threshold: false positives {x:.1%}, true positives {y:.1%}"
            _point(axis, x, y, label)
        axis.set_xlabel("False-positive rate: normal images flagged")
        axis.set_ylabel("True-positive rate: anomalies flagged")
        _unit_square(axis)
        legend_below(axis, columns=1)


def precision_recall(
    path: Path,
    outlier: ArrayLike,
    scores: ArrayLike,
    *,
    average_precision: float,
    interval: tuple[float, float] | None = None,
    operating_point: tuple[float, float] | None = None,
    untrained: tuple[ArrayLike, float] | None = None,
    dpi: int = DPI,
) -> None:
    """Draw the precision-recall curve, and the prevalence, the precision of a random ranking.

    Args:
        path: The PNG file.
        outlier: bool ``[N]``, the truth; both kinds must be present.
        scores: float ``[N]``.
        average_precision: The area under the steps, for the title.
        interval: Its 95 % interval (low, high).
        operating_point: Recall and precision at the calibrated threshold.
        untrained: The untrained network's scores of the same images, ``[N]``, and their average
            precision.
        dpi: Dots per inch.

    Raises:
        ValueError: One kind is absent, or scores are not finite or of another length.
    """
    from sklearn.metrics import precision_recall_curve

    truth, values = _both_kinds(outlier, scores)
    precision, recall, _ = precision_recall_curve(truth, values)
    prevalence = float(truth.mean())
    with figure(path, (5.2, 6.4), dpi) as (axis,):
        axis.set_title(f"Average precision {average_precision:.3f}{_interval(interval)}")
        label = f"prevalence, {prevalence:.3f}"
        axis.axhline(prevalence, color=MUTED, linewidth=1, linestyle="--", label=label)
        # Each precision applies from the recall of the previous threshold.
        if untrained is not None:
            before, area = untrained
            below, reached, _ = precision_recall_curve(*_both_kinds(outlier, before))
            label = f"untrained network, {area:.3f}"
            axis.step(reached, below, where="post", color=MUTED, linewidth=1.4, label=label)
        label = f"{_which(untrained)}, {average_precision:.3f}"
        axis.step(recall, precision, where="post", color=NORMAL, linewidth=2.2, label=label)
        axis.fill_between(recall, precision, step="post", color=NORMAL, alpha=0.08, linewidth=0)
        if operating_point is not None:
            x, y = operating_point
            _point(axis, x, y, f"calibrated threshold: recall {x:.1%}, precision {y:.1%}")
        axis.set_xlabel("Recall: anomalies flagged")
        axis.set_ylabel("Precision: flagged images that are anomalies")
        _unit_square(axis)
        legend_below(axis, columns=1)


def _which(untrained: object) -> str:
    """Return the label of the detector: it is called trained only next to an untrained one."""
    return "network" if untrained is None else "trained network"


def histogram(
    path: Path,
    calibration: ArrayLike,
    normal: ArrayLike,
    outlier: ArrayLike | None = None,
    *,
    threshold: float | None = None,
    fpr: float | None = None,
    dpi: int = DPI,
) -> None:
    """Draw the histogram of scores, normalised within each group.

    If a few scores are far from the rest, the axis and the bins are logarithmic away from zero.

    Args:
        path: The PNG file.
        calibration: Scores of the calibration images, ``[A]``.
        normal: Scores of the normal test images, ``[B]``; may be empty.
        outlier: Scores of the test anomalies, ``[C]``; None or empty without any.
        threshold: Scores above it are flagged; None or infinite is not drawn.
        fpr: The false-positive rate the threshold was calibrated for.
        dpi: Dots per inch.

    Raises:
        ValueError: There are no scores at all, or some are not finite.
    """
    groups = [
        ("calibration images", _finite(calibration), MUTED, False),
        ("normal test images", _finite(normal), NORMAL, True),
        ("test anomalies", _finite([] if outlier is None else outlier), ANOMALY, True),
    ]
    groups = [group for group in groups if group[1].size]
    if not groups:
        raise ValueError("no scores to draw")
    line = [] if threshold is None or not np.isfinite(threshold) else [float(threshold)]
    shown = np.concatenate([*(values for _, values, _, _ in groups), line])
    width = linear_width(groups[0][1], shown)
    edges = bins(shown, width)
    with figure(path, (7.2, 4.6), dpi) as (axis,):
        axis.set_title("Scores")
        if width is not None:
            axis.set_xscale("asinh", linear_width=width)
            marks = ticks(shown, width)
            axis.set_xticks(marks, [f"{mark:,g}" for mark in marks])
            axis.minorticks_off()
        for label, values, colour, filled in groups:
            axis.hist(
                values,
                bins=edges.tolist(),
                weights=np.full(values.size, 1 / values.size),
                histtype="stepfilled" if filled else "step",
                color=(colour, 0.45) if filled else colour,
                edgecolor=colour,
                linewidth=1.2,
                label=f"{label} ({values.size:,})",
            )
        for at in line:
            label = "threshold" if fpr is None else f"threshold at a false-positive rate of {fpr:g}"
            axis.axvline(at, color=TEXT, linewidth=1.4, label=label)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axis.set_xlabel("Score, higher is more anomalous")
        axis.set_ylabel("Share of the group")
        legend_below(axis)


# Drawing


def _over_epochs(
    axis: Axes, epochs: Sequence[int], values: Floats, colour: Any, label: str
) -> None:
    marker = "o" if len(epochs) < _MARKED_EPOCHS else ""
    axis.plot(epochs, values, color=colour, marker=marker, markersize=3.5, label=label)


def _finish_epochs(axis: Axes) -> None:
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axis.lines])
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size and drawn.min() > 0 and drawn.max() / drawn.min() > _LOG_RATIO:
        axis.set_yscale("log")
    axis.set_xlabel("Epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _cycled(count: int) -> list[str]:
    return [LINES[i % len(LINES)] for i in range(count)]


def _point(axis: Axes, x: float, y: float, label: str) -> None:
    axis.plot(
        [x], [y], "o", color=ANOMALY, markeredgecolor="white", markersize=9, label=label, zorder=4
    )


def _unit_square(axis: Axes) -> None:
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f", 95 % interval {interval[0]:.3f} to {interval[1]:.3f}"


# Numbers


def _column(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _finite(scores: ArrayLike) -> Floats:
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return values


def _both_kinds(outlier: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    truth, values = np.asarray(outlier, dtype=np.bool_).ravel(), _finite(scores)
    if truth.size != values.size:
        raise ValueError(f"{truth.size} truths, {values.size} scores")
    if not truth.any() or truth.all():
        raise ValueError("a curve needs both normal images and anomalies")
    return truth, values
