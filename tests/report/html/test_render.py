"""The HTML file of a report: it needs nothing else, and text from outside stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from bigan_cli.evaluation.detector_evaluation import Ranking
from bigan_cli.evaluation.metrics import Estimate
from bigan_cli.report.html.page import (
    Card,
    Command,
    LatentSpace,
    Page,
    Quality,
    ScoredImages,
    Training,
)
from bigan_cli.report.html.pictures import SMALL, data_uri, outline_uri, sprite_uri
from bigan_cli.report.html.render import render
from bigan_cli.scoring.calibration import Calibration

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "<!--<script>",
    "a' onmouseover='alert(3).png",
    "{{ 7 * 7 }}.png",
    "line\nbreak\u2028.png",
    "\\udcff.png",
    "&amp;.png",
]


class Document(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if self._open[-1:] != ["style"]:
            self.texts.append((self._open[-1] if self._open else "", data))

    def data(self):
        (text,) = [text for tag, text in self.texts if tag == "script" and text.startswith("{")]
        return json.loads(text)


def page_of(names, *, labels=True, cards=3, fpr=0.05):
    rng = np.random.default_rng(0)
    size = len(names)
    calibration = Calibration(rng.normal(size=200))
    score = rng.normal(0.5, 2, size)
    p_value = calibration.p_values(score)
    picture = data_uri(rng.integers(0, 256, (200, 300, 3)).astype(np.uint8))
    images = ScoredImages(
        names,
        score,
        p_value,
        p_value <= fpr,
        outlier=score > 1 if labels else None,
        labels=np.arange(size) % 2 if labels else None,
        class_names=HOSTILE[:2] if labels else (),
    )
    return Page(
        title=HOSTILE[0],
        what="test images",
        created="2026-01-01 00:00 UTC",
        images=images,
        calibration=calibration,
        fpr=fpr,
        threshold=calibration.threshold(fpr),
        skipped=0,
        operating_point=None,
        quality=None,
        cards=tuple(
            Card(i, 300, 200, picture, picture, picture, components={HOSTILE[1]: 1.0})
            for i in range(min(cards, size))
        ),
        brightest=4.0,
        decoded=False,
        training=Training(
            dataset=HOSTILE[1],
            protocol="folder",
            normal_classes=(HOSTILE[0],),
            image_shape="3x8x8",
            images={"train": 10},
            architecture="dcgan",
            parameters=10,
            seconds=1.0,
            records=[
                {"epoch": i, "losses": {"d_loss": 0.5 / i, "x_cycle": 0.1}, "validation": 1 / i}
                for i in range(1, 4)
            ],
            chosen_epoch=2,
            health="",
            diagnostics={"steps": 3.0},
            self_test=None,
        ),
        latent=LatentSpace(
            np.arange(min(size, 3)),
            rng.normal(size=(min(size, 3), 2)),
            (0.5, 0.2),
            sprite_uri(rng.integers(0, 256, (min(size, 3), 48, 48, 3)).astype(np.uint8), 2),
            48,
            2,
        ),
        remarks=(HOSTILE[1],),
        warnings=(HOSTILE[0],),
        score_command="bigan score PATH --run '<b>'",
        commands=(Command("Score", HOSTILE[3]),),
        environment={"model": HOSTILE[0]},
    )


@pytest.mark.parametrize("labels", [True, False])
def test_names_and_labels_are_text_and_nothing_else(labels):
    document = Document(render(page_of(HOSTILE, labels=labels, cards=len(HOSTILE))))
    tags = [tag for tag, _ in document.elements]
    assert tags.count("script") == 2
    assert not any(name.startswith("on") for _, attrs in document.elements for name in attrs)
    sources = [attrs["src"] for tag, attrs in document.elements if tag == "img"]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    shown = [text for tag, text in document.texts if tag == "span"]
    for name in HOSTILE[:4]:
        assert name in shown
    assert document.data()["names"][:4] == HOSTILE[:4]
    assert "49.png" not in "".join(shown)


def test_the_policy_allows_this_script_alone():
    text = render(page_of(["a.png"] * 5))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    attributes = [each for _, attrs in Document(text).elements for each in attrs.items()]
    references = [value for name, value in attributes if name in ("src", "href", "data", "srcset")]
    references += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attributes))
    assert references
    assert all(each.startswith(("data:image/", "#")) for each in references), references
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_ten_thousand_images_stay_below_ten_megabytes():
    names = [f"line 4/2026-11-28/camera 2/part {i:06}.jpg" for i in range(10_000)]
    page = page_of(names)
    pictures = "data:image/webp;base64," + "A" * 7_000_000  # what cards.py allows
    page = replace(page, cards=(replace(page.cards[0], original=pictures), *page.cards[1:]))
    assert len(render(page).encode()) < 10_000_000


def test_no_images_and_constant_scores_make_a_page():
    page = page_of(["a.png", "b.png", "c.png"])
    nothing = np.zeros(0)
    empty = ScoredImages([], nothing, nothing, nothing.astype(bool))
    text = render(replace(page, images=empty, cards=(), latent=None))
    assert "no images to test it with" in text
    same = Calibration(np.zeros(30))
    images = replace(
        page.images, score=np.zeros(3), p_value=np.ones(3), anomalous=np.zeros(3, bool)
    )
    assert "flagged" in render(replace(page, calibration=same, images=images, threshold=0.0))


def test_small_pictures_are_kept_exactly_and_large_ones_reduced():
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    def decoded(uri):
        return Image.open(BytesIO(b64decode(uri.partition(",")[2])))

    small = np.random.default_rng(0).integers(0, 256, (SMALL, 20, 3)).astype(np.uint8)
    assert (np.asarray(decoded(data_uri(small)).convert("RGB")) == small).all()
    assert decoded(data_uri(np.zeros((1000, 500, 3), np.uint8))).size == (180, 360)
    mask = np.zeros((50, 50), bool)
    mask[20:30, 10:20] = True
    outline = np.asarray(decoded(outline_uri(mask, 50, 50)).convert("RGBA"))[..., 3] > 0
    assert outline.any()
    assert not outline[mask].any()


def plain(page):
    """Return the text of a page on one line."""
    return " ".join(" ".join(text for _, text in Document(render(page)).texts).split())


def test_sizes_of_a_cross_fitted_run_say_that_calibration_reuses_the_training_images():
    page = page_of(["a.png"] * 5)
    assert "the training images again" not in plain(page)
    crossed = replace(page, calibration=Calibration(page.calibration.scores, cross_fitted=True))
    assert "calibration 200 the training images again" in plain(crossed)


@pytest.mark.parametrize(("low", "said"), [(-0.01, True), (0.01, False)])
def test_training_that_gained_nothing_is_said_beside_the_health(low, said):
    page = page_of(["a.png"] * 5)
    area = Estimate(0.9, 0.8, 0.95)
    ranking = Ranking(auroc=area, average_precision=area, components={"reconstruction": 0.9})
    quality = Quality(ranking, ranking, Estimate(0.02, low, 0.05), (), 0)
    text = plain(replace(page, quality=quality))
    assert ("not clearly better than untrained" in text) is said


@pytest.mark.parametrize("n", [60, 5000])
def test_rates_that_are_too_small_are_explained(n):
    page = page_of(["a.png"] * 5)
    calibration = Calibration(np.random.default_rng(1).normal(size=n))
    images = replace(page.images, p_value=calibration.p_values(page.images.score))
    text = plain(replace(page, calibration=calibration, images=images))
    assert ("one false alarm in" in text) is (n == 60)
    assert f"the smallest possible is 1/{n + 1:,}" in text


def test_the_axis_says_where_it_is_not_linear():
    page = page_of(["a.png"] * 5)
    assert "logarithmic" not in plain(page)
    far = replace(page.images, score=np.array([0.0, 1.0, 2.0, 3.0, 5000.0]))
    assert "score (logarithmic far from 0)" in plain(replace(page, images=far))


def test_the_reader_learns_what_a_reconstruction_is():
    page = page_of(["a.png"] * 5)
    assert "G(E(x))" in plain(page)
    text = plain(replace(page, decoded=True))
    assert "plays no part in the score" in text
    assert "G(E(x))" not in text
