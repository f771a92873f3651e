from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bigan_cli.report import drawing, grid_layout, grids
from bigan_cli.report.heatmap import heat_colours

relaxed = settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
shapes = st.tuples(
    st.integers(1, 9), st.sampled_from([1, 3, 4]), st.integers(8, 60), st.integers(8, 60)
)
headings = st.text(max_size=80)


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def opaque(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.shape[1] == 4:
        images[:, 3] = 255
    return images


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def places(seen: NDArray[np.uint8], image: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Where *image* [C, H, W], enlarged by a whole factor, lies in *seen*, exactly."""
    wanted = drawing.to_rgb(image)
    height, width = wanted.shape[:2]
    factor = -(-grid_layout.SMALLEST_TILE // max(height, width))
    wanted = wanted.repeat(factor, 0).repeat(factor, 1)
    rows, columns = wanted.shape[:2]
    corner = seen[: seen.shape[0] - rows + 1, : seen.shape[1] - columns + 1]
    found = []
    for y, x in np.argwhere((corner == wanted[0, 0]).all(axis=2)):
        if np.array_equal(seen[y : y + rows, x : x + columns], wanted):
            found.append((int(x), int(y)))
    return found


@relaxed
@given(shape=shapes, one=headings, other=headings)
def test_a_comparison_has_one_size_whatever_the_epoch(
    tmp_path: Path, shape: tuple[int, ...], one: str, other: str
) -> None:
    sizes = set()
    for seed, heading in enumerate((one, other)):
        path = tmp_path / f"{seed}.png"
        grids.comparison_grid(path, noise(shape, seed), noise(shape, seed + 2), heading)
        sizes.add(picture(path).shape)
    assert len(sizes) == 1


@relaxed
@given(shape=shapes)
def test_every_pixel_of_originals_and_reconstructions_is_shown_unaltered_side_by_side(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    originals, reconstructions = opaque(noise(shape)), opaque(noise(shape, 1))
    path = tmp_path / "grid.png"
    grids.comparison_grid(path, originals, reconstructions)
    seen = picture(path)
    for one, other in zip(originals, reconstructions, strict=True):
        (left,) = places(seen, one)
        (right,) = places(seen, other)
        assert left[1] == right[1]
        assert left[0] < right[0]


def test_a_heatmap_has_a_column_where_what_is_calm_shows_the_image(tmp_path: Path) -> None:
    originals, reconstructions = noise((3, 1, 20, 30)), noise((3, 1, 20, 30), 1)
    heatmaps = np.zeros((3, 20, 30), np.float32)
    heatmaps[2, 5:9, 5:9] = 3
    grids.comparison_grid(
        tmp_path / "grid.png", originals, reconstructions, heatmaps=heatmaps, captions=["a"] * 3
    )
    seen = picture(tmp_path / "grid.png")
    assert [len(places(seen, image)) for image in originals] == [2, 2, 1]
    (left, right) = places(seen, originals[0])
    ((middle, _),) = places(seen, reconstructions[0])
    assert left[0] < middle < right[0]
    # Below is the colour scale of heatmaps, beside that of differences.
    grids.comparison_grid(tmp_path / "plain.png", originals, reconstructions)
    (brightest,) = heat_colours(np.full(1, 4, np.float32)).tolist()
    scales = [
        (picture(tmp_path / name)[-60:] == brightest).all(axis=-1).any(axis=0).sum()
        for name in ("plain.png", "grid.png")
    ]
    assert scales[1] > scales[0] > 0


@relaxed
@given(shape=shapes)
def test_samples_come_in_reading_order(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = opaque(noise(shape))
    path = tmp_path / "grid.png"
    grids.sample_grid(path, images, "epoch 10")
    seen = picture(path)
    found = [places(seen, image) for image in images]
    assert all(len(where) == 1 for where in found)
    order = [where[0][::-1] for where in found]
    assert order == sorted(order)


@relaxed
@given(shape=shapes, caption=st.text(max_size=60), heading=headings, data=st.data())
def test_scored_images_take_any_caption_and_any_truth(
    tmp_path: Path, shape: tuple[int, ...], caption: str, heading: str, data: st.DataObject
) -> None:
    n = shape[0]
    truth = data.draw(st.lists(st.sampled_from([True, False, None]), min_size=n, max_size=n))
    flagged = data.draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    images = opaque(noise(shape))
    path = tmp_path / "grid.png"
    grids.test_grid(path, images, noise(shape, 1), [caption] * n, truth, flagged, heading)
    seen = picture(path)
    assert all(len(places(seen, image)) == 1 for image in images)


@pytest.mark.parametrize("draw", ["comparison", "sample", "test"])
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 3, 90, 8), (5, 4, 8, 60), (2, 1, 300, 700)])
def test_the_margins_stay_clean(tmp_path: Path, draw: str, shape: tuple[int, ...]) -> None:
    images, n, long = np.zeros(shape, np.uint8), shape[0], "a very long line of text " * 9
    path = tmp_path / "grid.png"
    if draw == "comparison":
        grids.comparison_grid(path, images, images, long)
    elif draw == "sample":
        grids.sample_grid(path, images, long)
    else:
        grids.test_grid(path, images, images, [long] * n, [True] * n, [True] * n, long)
    seen = picture(path)
    edge = np.ones(seen.shape[:2], bool)
    edge[10:-10, 10:-10] = False
    assert (seen[edge] == 255).all()


def test_the_difference_has_one_scale_for_all(tmp_path: Path) -> None:
    black = np.zeros((2, 1, 8, 8), np.uint8)
    other = black.copy()
    other[1] = 200
    path = tmp_path / "grid.png"
    grids.comparison_grid(path, black, other)
    seen = picture(path)
    strong = drawing.difference_colours()[200]
    assert (seen == strong).all(axis=2).sum() >= 72 * 72
    # The image without any difference stays black although its neighbour differs a lot.
    assert (seen == 0).all(axis=2).sum() >= 4 * 72 * 72


def test_equal_images_differ_nowhere_and_the_difference_is_the_mean_over_channels() -> None:
    one, other = np.zeros((3, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8)
    other[0] = 90
    colours = drawing.difference_colours()
    assert (drawing.difference_image(one, one) == colours[0]).all()
    assert (drawing.difference_image(one, other) == colours[30]).all()
    assert (drawing.difference_image(other, one) == colours[30]).all()


def test_a_larger_difference_is_always_lighter() -> None:
    linear = (drawing.difference_colours() / 255) ** 2.2
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) >= 0).all()
    assert luminance[0] < 0.01
    assert luminance[255] > 0.8


def test_what_is_transparent_shows_as_a_checkerboard() -> None:
    clear = np.zeros((4, 12, 12), np.uint8)
    shown = drawing.to_rgb(clear)
    assert len(np.unique(shown)) == 2
    clear[3] = 255
    assert (drawing.to_rgb(clear) == 0).all()


def test_a_verdict_gives_the_frame_its_colour(tmp_path: Path) -> None:
    images = np.zeros((2, 1, 28, 28), np.uint8)

    def count(flagged: list[bool], colour: drawing.Colour) -> int:
        path = tmp_path / "grid.png"
        grids.test_grid(path, images, images, ["a", "b"], [True, False], flagged)
        return int((picture(path) == colour).all(axis=2).sum())

    assert count([True, True], drawing.ANOMALY) > count([True, False], drawing.ANOMALY)
    assert count([True, False], drawing.ANOMALY) > count([False, False], drawing.ANOMALY) > 0
    assert count([False, False], drawing.NORMAL) > count([True, True], drawing.NORMAL) > 0


def test_the_truth_is_marked_only_where_it_is_known(tmp_path: Path) -> None:
    images = np.zeros((2, 1, 28, 28), np.uint8)
    pages = {}
    for truth in (True, False, None):
        path = tmp_path / f"{truth}.png"
        grids.test_grid(path, images, images, ["", ""], [truth, None], [True, True])
        pages[truth] = picture(path)
    assert not np.array_equal(pages[True], pages[False])
    # Without any known truth there is nothing to explain below the grid either.
    assert (pages[None] == drawing.TEXT).all(axis=2).sum() < (pages[False] == drawing.TEXT).all(
        axis=2
    ).sum()


def test_captions_name_score_p_value_and_label() -> None:
    assert grids.score_caption(1.2345, 0.01234) == "score 1.23, p 0.012"
    assert grids.score_caption(-3, 1.0, "9 Ankle boot") == "score -3.00, p 1\n9 Ankle boot"
    assert grids.score_caption(1.5e9, 1e-4) == "score 1.50e+09, p 0.0001"


@pytest.mark.parametrize("size", [10, 12, 16])
def test_text_is_shortened_only_where_it_must_be(size: int) -> None:
    text = "reconstruction"
    width = drawing.text_width(text, size)
    assert drawing.fit(text, size, width) == text
    shortened = drawing.fit(text, size, width - 1)
    assert shortened.endswith("...")
    assert drawing.text_width(shortened, size) < width
    assert drawing.fit(text, size, 0) == ""


def test_letters_no_typeface_has_are_marked() -> None:
    assert drawing.plain("Cafe\n x\udc80\x07") == "Cafe x??"


@pytest.mark.parametrize("name", ["Café", "größe", "Жук", "Σκύλος", "ארנב"])
def test_names_keep_their_letters(name: str) -> None:
    assert drawing.plain(name) == name
    assert _drawn(name) != _drawn(name[::2])
    assert _drawn(name) != _drawn("?" * len(name))


def _drawn(text: str) -> bytes:
    page = Image.new("RGB", (200, 30), drawing.BACKGROUND)
    drawing.write(ImageDraw.Draw(page), (5, 15), text, 14)
    return page.tobytes()


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((0, 1, 8, 8), np.uint8), "no images"),
        (np.zeros((1, 2, 8, 8), np.uint8), "not uint8"),
        (np.zeros((1, 1, 8, 8), np.float32), "not uint8"),
        (np.zeros((1, 8, 8), np.uint8), "not uint8"),
    ],
)
def test_anything_but_images_is_refused(
    tmp_path: Path, images: NDArray[np.uint8], says: str
) -> None:
    path = tmp_path / "grid.png"
    with pytest.raises(ValueError, match=says):
        grids.sample_grid(path, images)
    with pytest.raises(ValueError, match=says):
        grids.comparison_grid(path, images, images)
    assert not path.exists()


def test_arguments_that_do_not_match_are_refused(tmp_path: Path) -> None:
    two, three = noise((2, 1, 8, 8)), noise((3, 1, 8, 8))
    path = tmp_path / "grid.png"
    with pytest.raises(ValueError, match=r"2, 1, 8, 8.*3, 1, 8, 8"):
        grids.comparison_grid(path, two, three)
    with pytest.raises(ValueError, match="one entry per image"):
        grids.test_grid(path, two, two, ["a"], [None, None])
    with pytest.raises(ValueError, match="one entry per image"):
        grids.test_grid(path, two, two, ["a", "b"], [None, None], [True])


def test_a_picture_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "epoch-0001.png"
    for seed in (0, 1):
        grids.sample_grid(path, noise((2, 3, 16, 16), seed))
    assert [p.name for p in path.parent.iterdir()] == ["epoch-0001.png"]
    (where,) = places(picture(path), noise((2, 3, 16, 16), 1)[1])
    assert where


@pytest.mark.skipif(os.name == "nt", reason="file permissions of POSIX")
def test_a_picture_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    grids.sample_grid(path, noise((1, 1, 8, 8)))
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        path = tmp_path / "grid.png"
        grids.sample_grid(path, noise((3, 1, 8, 8)), "epoch 1")
        files.append(path.read_bytes())
    assert files[0] == files[1]
    assert Image.open(io.BytesIO(files[0])).info.get("Software") is None


def test_captions_take_room_below_each_image_and_there_is_one_for_each(tmp_path):
    images = noise((6, 1, 8, 8), 0)
    plain, captioned, other = (tmp_path / f"{name}.png" for name in ("plain", "captioned", "other"))
    grids.comparison_grid(plain, images, images)
    grids.comparison_grid(captioned, images, images, captions=["a\nscore 1"] * 6)
    grids.comparison_grid(other, images, images, captions=["a name much too long " * 9 + "\nb"] * 6)
    with Image.open(plain) as one, Image.open(captioned) as two, Image.open(other) as three:
        assert two.width * two.height > one.width * one.height
        assert two.size == three.size
        assert two.tobytes() != three.tobytes()
    with pytest.raises(ValueError, match="5 captions of 6 images"):
        grids.comparison_grid(plain, images, images, captions=["a"] * 5)
