"""Charts as data for the templates: lines and ticks in percent of the plot's width and height.

The shapes are drawn by inline SVG that stretches to any width; texts are HTML, so that they keep
their size on a phone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.report.binning import bins, linear_width, ticks

Floats = NDArray[np.float64]

# A curve has no more points than this: more cannot be seen.
_MOST_POINTS = 400
_LOG_RATIO = 30.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, *at* percent of its length."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A line or an area.

    Attributes:
        label: For the legend.
        style: A class of the style sheet.
        path: SVG path data, in a square of 100 by 100.
        filled: Whether it is an area.
    """

    label: str
    style: str
    path: str
    filled: bool = False


@dataclass(frozen=True)
class Chart:
    """One plot.

    Attributes:
        title: Its heading.
        description: What it shows, for those who cannot see it.
        lines: Drawn in this order.
        x_ticks: From the left.
        y_ticks: From the bottom.
        x_label: Of the horizontal axis.
        marker: A vertical line at this percentage, or None.
    """

    title: str
    description: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str = ""
    marker: float | None = None


class ScoreAxis:
    """The axis of scores: linear around typical scores, logarithmic where some are far away.

    Args:
        typical: Scores whose spread sets the linear part.
        shown: All scores to be shown, thresholds included.
    """

    def __init__(self, typical: Floats, shown: Floats) -> None:
        self._width = linear_width(typical, shown)
        self.edges = bins(shown, self._width)
        self._low, self._high = (float(self._bent(self.edges[i])) for i in (0, -1))
        self._shown = shown

    def at(self, scores: Floats | float) -> Floats:
        """Return where scores are, in percent of the axis."""
        share = (self._bent(np.asarray(scores, np.float64)) - self._low) / (self._high - self._low)
        return np.asarray(100 * share)

    @property
    def label(self) -> str:
        """What the axis shows, and that it is not linear if it is not."""
        return "score" if self._width is None else "score (logarithmic far from 0)"

    def ticks(self) -> tuple[Tick, ...]:
        """Return the marks of the axis."""
        if self._width is not None:
            values = ticks(self._shown, self._width)
        else:
            values = round_values(float(self.edges[0]), float(self.edges[-1]))
        return tuple(Tick(float(self.at(v)), f"{v:,g}") for v in values)

    def _bent(self, values: Floats) -> Floats:
        if self._width is None:
            return np.asarray(values)
        return np.asarray(np.arcsinh(values / self._width))


def histogram(
    axis: ScoreAxis, groups: Sequence[tuple[str, str, Floats, bool]], description: str
) -> Chart:
    """Return the histogram of scores, each group as shares of its own size.

    Args:
        axis: Of the scores.
        groups: Label, style, scores and whether the area is filled, of each group.
        description: What it shows.
    """
    at = axis.at(axis.edges)
    heights = [
        np.histogram(scores, axis.edges)[0] / max(1, scores.size) for _, _, scores, _ in groups
    ]
    highest = max(float(each.max()) for each in heights) or 1.0
    lines = []
    for (label, style, scores, filled), shares in zip(groups, heights, strict=True):
        xs = np.repeat(at, 2)
        ys = np.concatenate([[0], np.repeat(shares, 2), [0]])
        path = path_of(xs, 100 - 100 * ys / highest)
        lines.append(Line(f"{label} ({scores.size:,})", style, path, filled))
    y_ticks = tuple(
        Tick(100 * value / highest, f"{100 * value:.3g} %") for value in round_values(0, highest, 4)
    )
    return Chart("", description, tuple(lines), axis.ticks(), y_ticks, axis.label)


def roc(outlier: NDArray[np.bool_], curves: Sequence[tuple[str, str, Floats]]) -> Chart:
    """Return the ROC curves of scores with label and style."""
    lines = [Line("chance", "chance", "M0 100L100 0")]
    for label, style, scores in curves:
        false, true = _rates(outlier, scores)
        lines.append(Line(label, style, path_of(100 * false, 100 - 100 * true)))
    return Chart(
        "ROC",
        "The share of anomalies flagged against the share of normal images flagged, for all "
        "thresholds.",
        tuple(lines),
        _SHARES,
        _SHARES,
        "false-positive rate",
    )


def precision_recall(
    outlier: NDArray[np.bool_], curves: Sequence[tuple[str, str, Floats]]
) -> Chart:
    """Return the precision-recall curves of scores with label and style."""
    prevalence = float(outlier.mean())
    height = f"{100 - 100 * prevalence:.2f}"
    lines = [Line("chance", "chance", f"M0 {height}H100")]
    for label, style, scores in curves:
        false, true = _rates(outlier, scores)
        found = true * outlier.sum()
        flagged = found + false * (~outlier).sum()
        precision = np.divide(found, flagged, out=np.ones_like(found), where=flagged > 0)
        # Each precision holds from the recall of the previous threshold on.
        xs = np.concatenate([true[:1], np.repeat(true[1:], 2)])
        ys = np.concatenate([np.repeat(precision[1:], 2), precision[-1:]])
        lines.append(Line(label, style, path_of(100 * xs, 100 - 100 * ys)))
    return Chart(
        "Precision and recall",
        "The share of anomalies among the flagged images against the share of anomalies that are "
        "flagged, for all thresholds.",
        tuple(lines),
        _SHARES,
        _SHARES,
        "recall",
    )


def training_curves(records: Sequence[Mapping[str, Any]], chosen: int) -> list[Chart]:
    """Return the validation error and the losses over the epochs.

    Args:
        records: One per epoch, as in ``metrics.jsonl``.
        chosen: The epoch that is scored with; marked.
    """
    if not records:
        return []
    epochs = np.array([record["epoch"] for record in records], np.float64)
    names = dict.fromkeys(name for record in records for name in record["losses"])
    columns = {
        name: np.array([record["losses"].get(name, np.nan) for record in records]) for name in names
    }
    columns = {name: values for name, values in columns.items() if np.nan_to_num(values).any()}
    validation = np.array([record["validation"] for record in records], np.float64)
    panels = [("Validation error, lower is better", {"validation": validation})]
    for title, cycle in (("Adversarial losses", False), ("Cycle losses", True)):
        chosen_lines = {n: v for n, v in columns.items() if ("cycle" in n) is cycle}
        if chosen_lines:
            panels.append((title, chosen_lines))
    return [_over_epochs(title, epochs, curves, chosen) for title, curves in panels]


def _over_epochs(title: str, epochs: Floats, curves: Mapping[str, Floats], chosen: int) -> Chart:
    values = np.concatenate(list(curves.values()))
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high / low > _LOG_RATIO
    if not logarithmic:
        low = min(low, 0.0) if low < 0.4 * high else low
    margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    bounds = (np.log10(low), np.log10(high)) if logarithmic else (low - margin, high + margin)
    first, last = float(epochs[0]), float(epochs[-1])
    span = last - first or 1.0

    def x_at(epoch: Floats | float) -> Floats:
        return np.asarray(100 * (epoch - first) / span) if last > first else np.full_like(epoch, 50)

    def y_at(value: Floats | float) -> Floats:
        scaled = np.log10(value) if logarithmic else np.asarray(value)
        return np.asarray(100 * (scaled - bounds[0]) / (bounds[1] - bounds[0]))

    lines = []
    for number, (name, column) in enumerate(curves.items()):
        known = np.isfinite(column)
        path = path_of(x_at(epochs[known]), 100 - y_at(column[known]))
        lines.append(Line(name.replace("_", " "), f"series-{number % 5 + 1}", path))
    if logarithmic:
        marks = [10.0**k for k in range(int(np.ceil(bounds[0])), int(np.floor(bounds[1])) + 1)]
        y_marks = marks if len(marks) > 1 else [low, high]
    else:
        y_marks = round_values(bounds[0], bounds[1], 4)
    x_marks = [e for e in round_values(first, last, 5) if e == round(e)] or [first]
    return Chart(
        title,
        f"{title} over epochs {first:.0f} to {last:.0f}.",
        tuple(lines),
        tuple(Tick(float(x_at(np.float64(e))), f"{e:.0f}") for e in x_marks),
        tuple(Tick(float(y_at(v)), f"{v:.3g}") for v in y_marks),
        "epoch",
        marker=float(x_at(np.float64(chosen))) if first <= chosen <= last else None,
    )


def round_values(low: float, high: float, most: int = 7) -> list[float]:
    """Return round numbers from *low* to *high*, at most *most* and evenly spaced."""
    if not high > low:
        return [low]
    step = 10.0 ** np.floor(np.log10((high - low) / most))
    step *= next(f for f in (1, 2, 5, 10, 20) if (high - low) / (f * step) < most)
    start, stop = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [float(f"{k * step:.12g}") for k in range(start, stop + 1)]


def path_of(xs: Floats, ys: Floats) -> str:
    """Return SVG path data through the points; of many, those that can be distinguished."""
    if len(xs) > _MOST_POINTS:
        bent = np.abs(np.diff(np.diff(ys))) + np.abs(np.diff(np.diff(xs))) > 1e-12
        kept = np.concatenate([[True], bent, [True]])
        xs, ys = xs[kept], ys[kept]
    places = dict.fromkeys(f"{x:.2f} {y:.2f}" for x, y in zip(xs, ys, strict=True))
    return "M" + "L".join(places)


def _rates(outlier: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Return false- and true-positive rate at each distinct score, from none flagged to all."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    true, false = np.cumsum(outlier[order])[last], np.cumsum(~outlier[order])[last]
    return (
        np.concatenate([[0.0], false / max(1, false[-1])]),
        np.concatenate([[0.0], true / max(1, true[-1])]),
    )


_SHARES = tuple(Tick(float(percent), f"{percent} %") for percent in (0, 25, 50, 75, 100))
