"""A matplotlib figure in the project's style, written as a PNG file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from bigan_cli.atomic import atomic_write
from bigan_cli.report import drawing


def _hex(colour: drawing.Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


TEXT, MUTED, RULE = _hex(drawing.TEXT), _hex(drawing.MUTED), _hex(drawing.RULE)
ANOMALY, NORMAL = _hex(drawing.ANOMALY), _hex(drawing.NORMAL)
# Okabe and Ito's palette, in an order that keeps neighbours apart.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLE = {
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": TEXT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "text.color": TEXT,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}


@contextmanager
def figure(
    path: Path, size: tuple[float, float], dpi: int, columns: int = 1
) -> Iterator[list[Axes]]:
    """Yield empty axes and write the figure on success; settings apply within the block only."""
    with style.context(["default", STYLE]):
        drawn = Figure(figsize=size, dpi=dpi, layout="constrained")
        FigureCanvasAgg(drawn)
        yield list(drawn.subplots(1, columns, squeeze=False)[0])
        with atomic_write(path) as stream:
            # No version stamp: the same numbers give the same bytes.
            drawn.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})


def legend_below(axes: Axes, columns: int = 2) -> None:
    """Put the legend below the axes, where it never hides the curves."""
    inch = axes.figure.dpi_scale_trans
    under_the_label = ScaledTranslation(-8 / 72, -40 / 72, inch)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + under_the_label,
        ncols=columns,
        borderaxespad=0,
    )
