from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from bigan_cli.report import binning, drawing, figures

RNG = np.random.default_rng(0)
OUTLIER = np.arange(200) % 4 == 0
SCORES = RNG.normal(0, 1, 200) + 2 * OUTLIER

finite = st.floats(-1e9, 1e9, allow_subnormal=False)
groups = arrays.arrays(np.float64, st.integers(1, 40), elements=finite)


def record(epoch: int, **changes: Any) -> dict[str, Any]:
    losses = {"d_loss": 1.0 + epoch, "eg_loss": 2.0, "image_cycle": 1 / epoch, "latent_cycle": 0.5}
    fields = {"epoch": epoch, "losses": losses, "validation": 1 / epoch, "best": True}
    return {**fields, "images_per_second": 900.0, "seconds": 2.0, **changes}


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def amount(path: Path, colour: drawing.Colour) -> int:
    return int((np.abs(picture(path).astype(int) - colour).max(axis=2) <= 2).sum())


def draw_roc(path: Path, **options: Any) -> None:
    figures.roc(path, OUTLIER, SCORES, auroc=0.9, **options)


def draw_precision_recall(path: Path, **options: Any) -> None:
    figures.precision_recall(path, OUTLIER, SCORES, average_precision=0.8, **options)


def draw_histogram(path: Path, **options: Any) -> None:
    figures.histogram(path, SCORES[:50], SCORES[~OUTLIER], SCORES[OUTLIER], **options)


def draw_losses(path: Path, **options: Any) -> None:
    figures.losses(path, [record(1), record(2)], **options)


# All are drawn by the same functions; each figure has further tests of its own below.
ALL = [
    draw_histogram,
    *(pytest.param(d, marks=pytest.mark.slow) for d in (draw_roc, draw_precision_recall)),
    pytest.param(draw_losses, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("draw", ALL)
def test_the_size_follows_the_resolution(tmp_path: Path, draw: Callable[..., None]) -> None:
    shapes = []
    for dpi in (50, 100):
        draw(tmp_path / "figure.png", dpi=dpi)
        shapes.append(np.array(picture(tmp_path / "figure.png").shape[:2]))
    np.testing.assert_array_equal(2 * shapes[0], shapes[1])


@pytest.mark.parametrize("draw", ALL)
def test_the_same_numbers_give_the_same_bytes_and_leave_settings_alone(
    tmp_path: Path, draw: Callable[..., None]
) -> None:
    before = dict(mpl.rcParams)
    draw(tmp_path / "one.png")
    # Whatever a user's own matplotlib settings are.
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        draw(tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("draw", ALL)
def test_nothing_is_clipped_at_the_edge(tmp_path: Path, draw: Callable[..., None]) -> None:
    draw(tmp_path / "figure.png")
    page = picture(tmp_path / "figure.png")
    edge = np.ones(page.shape[:2], bool)
    edge[3:-3, 3:-3] = False
    assert (page[edge] == 255).all()


def test_figures_need_neither_pyplot_nor_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bigan_cli.report import figures, grids\n"
        "figures.histogram(Path(sys.argv[1]), [1, 2], [3])\n"
        "print([m for m in ('matplotlib.pyplot', 'torch', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "figure.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "figure.png").exists()


# Losses


def test_the_best_epoch_is_marked_where_there_is_one(tmp_path: Path) -> None:
    figures.losses(tmp_path / "with.png", [record(1), record(2)])
    figures.losses(tmp_path / "without.png", [record(1, best=False), record(2, best=False)])
    # The star has the colour of the second line, too.
    assert amount(tmp_path / "with.png", drawing.ANOMALY) > amount(
        tmp_path / "without.png", drawing.ANOMALY
    )


def test_losses_that_were_switched_off_have_no_line(tmp_path: Path) -> None:
    on = [record(e, losses={"d_loss": 1.0, "image_cycle": 2.0}) for e in (1, 2)]
    off = [record(e, losses={"d_loss": 1.0, "image_cycle": 0.0}) for e in (1, 2)]
    figures.losses(tmp_path / "on.png", on)
    figures.losses(tmp_path / "off.png", off)
    # Without any cycle loss there is a panel less.
    assert picture(tmp_path / "on.png").shape[1] > picture(tmp_path / "off.png").shape[1]


def test_of_an_epoch_trained_twice_the_later_record_holds(tmp_path: Path) -> None:
    figures.losses(tmp_path / "a.png", [record(1), record(2, validation=99.0), record(2)])
    figures.losses(tmp_path / "b.png", [record(2), record(1)])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    "records",
    [
        [record(1)],
        [record(7, validation=None, best=False)],
        [record(1, validation=None), record(2, validation=float("nan"))],
        [record(1, losses={})],
        [record(1, losses={"d_loss": None}), record(2, losses={"other": 3.0})],
        [record(e, losses={f"loss_{k}": 10.0**k for k in range(9)}) for e in range(1, 100)],
    ],
    ids=["one", "unvalidated", "nothing finite", "no losses", "gaps", "many"],
)
def test_any_course_of_training_can_be_drawn(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    figures.losses(tmp_path / "losses.png", records)
    with Image.open(tmp_path / "losses.png") as image:
        assert len(image.convert("RGB").getcolors(image.width * image.height)) > 3


def test_no_epochs_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no epochs"):
        figures.losses(tmp_path / "losses.png", [])
    assert not list(tmp_path.iterdir())


# Curves


@pytest.mark.parametrize(
    "draw", [draw_roc, pytest.param(draw_precision_recall, marks=pytest.mark.slow)]
)
def test_the_operating_point_is_marked_where_it_is_known(
    tmp_path: Path, draw: Callable[..., None]
) -> None:
    draw(tmp_path / "with.png", operating_point=(0.05, 0.6), interval=(0.85, 0.94))
    draw(tmp_path / "without.png")
    assert amount(tmp_path / "with.png", drawing.ANOMALY) > 50
    assert amount(tmp_path / "without.png", drawing.ANOMALY) == 0


@pytest.mark.parametrize(
    "draw", [draw_precision_recall, pytest.param(draw_roc, marks=pytest.mark.slow)]
)
def test_the_untrained_network_has_its_own_curve(tmp_path: Path, draw: Callable[..., None]) -> None:
    draw(tmp_path / "with.png", untrained=(RNG.normal(0, 1, 200), 0.51))
    draw(tmp_path / "without.png")
    assert amount(tmp_path / "with.png", drawing.MUTED) > 2 * amount(
        tmp_path / "without.png", drawing.MUTED
    )


@pytest.mark.parametrize(
    "scores",
    [[3.0, 3.0], *(pytest.param(s, marks=pytest.mark.slow) for s in ([0.0, 1.0], [1.0, 0.0]))],
)
def test_two_images_are_enough_and_may_tie(tmp_path: Path, scores: list[float]) -> None:
    figures.roc(tmp_path / "roc.png", [False, True], scores, auroc=0.5)
    figures.precision_recall(tmp_path / "pr.png", [False, True], scores, average_precision=0.5)
    assert amount(tmp_path / "roc.png", drawing.NORMAL) > 50
    assert amount(tmp_path / "pr.png", drawing.NORMAL) > 50


@pytest.mark.parametrize(
    ("outlier", "scores", "says"),
    [
        ([False, False], [0.0, 1.0], "both normal images and anomalies"),
        ([True, True], [0.0, 1.0], "both normal images and anomalies"),
        ([], [], "both normal images and anomalies"),
        ([True, False], [0.0, float("nan")], "finite"),
        ([True, False], [0.0, float("inf")], "finite"),
        ([True, False], [0.0], "2 truths, 1 scores"),
    ],
)
def test_a_curve_without_a_meaning_is_refused(
    tmp_path: Path, outlier: list[bool], scores: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        figures.roc(tmp_path / "a.png", outlier, scores, auroc=0.5)
    with pytest.raises(ValueError, match=says):
        figures.precision_recall(tmp_path / "a.png", outlier, scores, average_precision=0.5)
    assert not list(tmp_path.iterdir())


# Histogram


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(calibration=np.array([2e-299, 0]), normal=np.array([1.0]), outlier=None, threshold=None)
@given(
    calibration=groups,
    normal=groups,
    outlier=st.none() | groups,
    threshold=st.none() | finite | st.just(float("inf")),
)
def test_any_finite_scores_can_be_drawn(
    tmp_path: Path,
    calibration: NDArray[np.float64],
    normal: NDArray[np.float64],
    outlier: NDArray[np.float64] | None,
    threshold: float | None,
) -> None:
    path = tmp_path / "histogram.png"
    figures.histogram(path, calibration, normal, outlier, threshold=threshold, fpr=0.05, dpi=50)
    assert picture(path).shape == (230, 360, 3)


@settings(deadline=None)
@given(values=groups, spread=st.none() | st.floats(1e-3, 1e6))
def test_bins_hold_every_score_once(values: NDArray[np.float64], spread: float | None) -> None:
    edges = binning.bins(values, spread)
    assert (np.diff(edges) >= 0).all()
    counted, _ = np.histogram(values, edges)
    assert counted.sum() == values.size


def test_scores_far_away_do_not_squeeze_the_others_together() -> None:
    normal = RNG.normal(0, 1, 500)
    everything = np.append(normal, 1e6)
    width = binning.linear_width(normal, everything)
    assert width is not None
    edges = binning.bins(everything, width)
    assert np.count_nonzero(np.histogram(normal, edges)[0]) >= 5
    assert binning.ticks(everything, width)[0] == 0
    assert binning.ticks(everything, width)[-1] == 1e6
    assert binning.linear_width(normal, normal) is None


def test_the_threshold_is_drawn_where_it_is_finite(tmp_path: Path) -> None:
    path = tmp_path / "histogram.png"
    dark = {}
    for threshold in (0.5, None, float("inf")):
        draw_histogram(path, threshold=threshold)
        dark[threshold] = amount(path, drawing.TEXT)
    assert dark[0.5] > dark[None] + 300
    assert dark[float("inf")] == dark[None]


def test_anomalies_have_a_colour_of_their_own(tmp_path: Path) -> None:
    draw_histogram(tmp_path / "with.png")
    figures.histogram(tmp_path / "without.png", SCORES[:50], SCORES[~OUTLIER], [])
    assert amount(tmp_path / "with.png", drawing.ANOMALY) > 100
    assert amount(tmp_path / "without.png", drawing.ANOMALY) == 0


@pytest.mark.parametrize(
    ("scores", "says"), [(([], [], None), "no scores"), (([1.0], [float("nan")], None), "finite")]
)
def test_scores_that_cannot_be_drawn_are_refused(
    tmp_path: Path, scores: tuple[Any, Any, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        figures.histogram(tmp_path / "histogram.png", *scores)
    assert not list(tmp_path.iterdir())
