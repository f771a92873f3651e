"""Turns the content of a report into one HTML file that needs nothing else.

File names and labels come from outside: the templates escape every text, data for the script is
JSON without a ``<``, and a content security policy lets no other script run and nothing load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bigan_cli.atomic import write_text
from bigan_cli.formatting import count, human_time, one_line
from bigan_cli.report.heatmap import heat_colours
from bigan_cli.report.html import charts, wording
from bigan_cli.report.html.page import LatentSpace, Page
from bigan_cli.report.html.thresholds import Stop, ranks, rate_rows, stops

_TEMPLATES = Path(__file__).parent / "templates"
# Cards of one page of the gallery, and rows of one page of the table.
_CARDS, _ROWS = 12, 50


def write_page(path: Path, page: Page) -> None:
    """Write the report to *path*, whole or not at all."""
    write_text(path, render(page))


def render(page: Page) -> str:
    """Return the report as an HTML document."""
    found, start = stops(page.images, page.calibration, page.fpr, page.threshold)
    axis = _score_axis(page, found)
    rates = rate_rows(page.images, page.calibration, page.fpr)
    script = template_text("page.js")
    document = (
        environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            style=Markup(template_text("style.css")),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  likewise
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            data=_data(page, found, start, axis),
            verdict=wording.verdict(page),
            explanation=wording.explanation(page),
            figures=wording.figures(page),
            classes=_classes(page),
            histogram=_histogram(page, axis),
            heat_scale=heat_colours(np.linspace(1, 4, 9, dtype=np.float32)[None])[0].tolist(),
            rates=rates,
            smallest_rate=wording.smallest_rate(page, rates),
            p_value_note=wording.p_value_note(page),
            split=[] if page.training is None else wording.split(page),
            health=[] if page.training is None else wording.health(page),
            quality_charts=_quality_charts(page),
            training_charts=[]
            if page.training is None
            else charts.training_curves(page.training.records, page.training.chosen_epoch),
            latent=None if page.latent is None else _latent(page, page.latent),
            cards_per_page=_CARDS,
        )
    )
    return document + "\n"


@cache
def environment() -> Environment:
    """Return the templates, which escape every text."""
    environment = Environment(
        loader=PackageLoader("bigan_cli.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "duration": human_time,
        "interval": wording.interval,
        "name": one_line,
        "percent": wording.percent,
        "sentence": wording.sentence,
    }
    return environment


@cache
def template_text(name: str) -> str:
    """Return the text of a file beside the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _data(page: Page, found: list[Stop], start: int, axis: charts.ScoreAxis) -> Mapping[str, Any]:
    """Return what the script works with, as plain values."""
    images = page.images
    anomalies = 0 if images.outlier is None else int(images.outlier.sum())
    return {
        "total": len(images),
        "known": images.outlier is not None,
        "anomalies": anomalies,
        "normals": len(images) - anomalies,
        "calibration": page.calibration.n,
        "start": start,
        "stops": [
            {
                "rank": stop.rank,
                "fpr": stop.fpr,
                "option": stop.option,
                "threshold": stop.threshold,
                "x": round(float(axis.at(stop.threshold)), 3),
                "flagged": stop.flagged,
                "false": stop.false_positives,
                "true": stop.true_positives,
            }
            for stop in found
        ],
        "command": page.score_command,
        "names": [one_line(name) for name in images.names],
        "scores": [float(f"{score:.6g}") for score in images.score.tolist()],
        "ranks": ranks(images, page.calibration).tolist(),
        "flagged": np.flatnonzero(images.anomalous).tolist() if page.fpr is None else None,
        "outlier": None if images.outlier is None else images.outlier.astype(int).tolist(),
        "labels": None if images.labels is None else images.labels.tolist(),
        "classes": [one_line(name) for name in images.class_names],
        "rows": _ROWS,
        "cards": _CARDS,
        "sprite": None
        if page.latent is None
        else {"columns": page.latent.columns, "side": page.latent.side},
    }


def _score_axis(page: Page, found: list[Stop]) -> charts.ScoreAxis:
    calibration = page.calibration.scores
    shown = [calibration, page.images.score, np.array([stop.threshold for stop in found])]
    return charts.ScoreAxis(calibration, np.concatenate(shown))


def _histogram(page: Page, axis: charts.ScoreAxis) -> charts.Chart:
    images = page.images
    groups = [("calibration images", "calibration", page.calibration.scores, False)]
    if images.outlier is None:
        groups.append((page.what, "normal", images.score, True))
    else:
        groups.append((f"normal {page.what}", "normal", images.score[~images.outlier], True))
        groups.append(("anomalies", "anomaly", images.score[images.outlier], True))
    groups = [group for group in groups if group[2].size]
    return charts.histogram(axis, groups, "Histogram of the scores of each group of images.")


def _quality_charts(page: Page) -> list[charts.Chart]:
    outlier = page.images.outlier
    if page.quality is None or outlier is None:
        return []
    curves = [("detector", "normal", page.images.score)]
    return [charts.roc(outlier, curves), charts.precision_recall(outlier, curves)]


def _classes(page: Page) -> list[tuple[int, str]]:
    """Return number and name of the classes that occur, for the filter of the gallery."""
    if page.images.labels is None:
        return []
    occurring = np.unique(page.images.labels).tolist()
    return [(label, one_line(page.images.class_names[label])) for label in occurring]


def _latent(page: Page, latent: LatentSpace) -> list[dict[str, Any]]:
    """Return position, kind and place in the sprite of each point."""
    low, high = latent.points.min(axis=0), latent.points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    places = 3 + 94 * (latent.points - low) / span
    outlier = page.images.anomalous if page.images.outlier is None else page.images.outlier
    return [
        {
            "x": round(float(x), 2),
            "y": round(100 - float(y), 2),
            "image": image,
            "style": "anomaly" if outlier[image] else "normal",
        }
        for (x, y), image in zip(places, latent.index.tolist(), strict=True)
    ]
