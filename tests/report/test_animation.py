from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.errors import DataError, UsageError
from bigan_cli.report import drawing
from bigan_cli.report.animation import (
    LAST_FRAME_HELD,
    SLOWEST,
    _durations,
    _ffmpeg,
    check_request,
    save_animation,
    save_still,
)
from bigan_cli.report.drawing import line_height
from bigan_cli.report.epoch_folders import epoch_of, find_pictures
from bigan_cli.report.frames import FrameSequence
from bigan_cli.report.grid_layout import HEADING, MARGIN
from bigan_cli.report.grids import sample_grid
from bigan_cli.report.palette import MOST_COLOURS, shared_palette

Colour = tuple[int, int, int]
RED, GREEN, BLUE, BROWN = (200, 0, 0), (0, 160, 0), (0, 0, 220), (120, 70, 10)


def paint(path: Path, colour: Colour | int, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "L" if isinstance(colour, int) else {3: "RGB", 4: "RGBA"}[len(colour)]
    Image.new(mode, size, colour).save(path)


def folder_of(path: Path, colours: dict[int, Colour], size: tuple[int, int] = (40, 30)) -> Path:
    for epoch, colour in colours.items():
        paint(path / f"epoch-{epoch}.png", colour, size)
    return path


def film_of(*folders: Path, scale: float = 1.0) -> FrameSequence:
    return FrameSequence([find_pictures(folder) for folder in folders], scale)


def shares(frame: NDArray[np.uint8], *colours: Colour) -> list[int]:
    return [int((frame == colour).all(axis=2).sum()) for colour in colours]


def reopened(path: Path) -> tuple[list[NDArray[np.uint8]], list[int], dict[object, object]]:
    """Frames as shown, how long each is shown in ms, and what the file says of itself."""
    frames, durations = [], []
    with Image.open(path) as image:
        about = dict(image.info)
        for shown in ImageSequence.Iterator(image):
            shown.load()
            frames.append(np.asarray(shown.convert("RGB")))
            durations.append(shown.info.get("duration", 0))
    return frames, durations, about


class TestEpochs:
    @pytest.mark.parametrize(
        ("name", "epoch"),
        [
            ("epoch-0010.png", 10),
            ("10.png", 10),
            ("0.png", 0),
            ("fake_10_3.png", 10),
            ("fake_0010_0003.jpg", 10),
            ("true-10.png", 10),
            ("run2_epoch10.png", 10),
            ("2024-05-01_Epoch_7_of_30.png", 7),
            ("epoch=7-step=900.png", 7),
            ("mnist8x8_10.png", 10),
            ("img2vec 10.png", 10),
            ("img10.png", 10),
            ("comparison.png", None),
            ("epochs.png", None),
        ],
    )
    def test_the_epoch_is_read_from_the_name(self, name: str, epoch: int | None) -> None:
        assert epoch_of(name) == epoch

    def test_epochs_are_in_numerical_order(self, tmp_path: Path) -> None:
        for epoch in (10, 2, 1, 100, 20):
            paint(tmp_path / f"{epoch}.png", RED)
        assert list(find_pictures(tmp_path).pictures) == [1, 2, 10, 20, 100]

    def test_of_several_pictures_of_an_epoch_the_last_is_taken(self, tmp_path: Path) -> None:
        for name in ("fake_1_2.png", "fake_1_10.png", "fake_1_9.png", "fake_2_1.png", "x.png"):
            paint(tmp_path / name, RED)
        found = find_pictures(tmp_path)
        assert {e: p.name for e, p in found.pictures.items()} == {
            1: "fake_1_10.png",
            2: "fake_2_1.png",
        }
        assert (found.superseded, found.unnumbered) == (2, 1)

    def test_only_pictures_of_this_folder_count(self, tmp_path: Path) -> None:
        paint(tmp_path / "1.png", RED)
        paint(tmp_path / "inner" / "2.png", RED)
        paint(tmp_path / ".3.png", RED)
        paint(tmp_path / "film4.gif", RED)
        (tmp_path / "5.txt").write_text("no picture")
        assert list(find_pictures(tmp_path, leave_out=tmp_path / "film4.gif").pictures) == [1]

    def test_a_folder_is_called_by_its_name_however_it_is_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paint(tmp_path / "fake" / "1.png", RED)
        monkeypatch.chdir(tmp_path / "fake")
        assert find_pictures(Path()).name == "fake"
        assert find_pictures(Path(), "other").name == "other"

    def test_what_has_no_numbered_pictures_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").touch()
        paint(tmp_path / "unnumbered" / "a.png", RED)
        for name, says in [
            ("missing", "no such folder"),
            ("file", "not a folder"),
            ("empty", "no images"),
            ("unnumbered", "none of the 1 images"),
        ]:
            with pytest.raises((DataError, UsageError), match=says):
                find_pictures(tmp_path / name)


class TestFilm:
    def test_each_epoch_is_one_frame_in_order(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path / "fake", {10: BLUE, 2: GREEN, 1: RED})
        film = film_of(folder)
        assert film.epochs == [1, 2, 10]
        assert len(film) == len(list(film)) == 3
        for frame, colour in zip(film, (RED, GREEN, BLUE), strict=True):
            assert frame.shape == (*film.size[::-1], 3)
            assert frame.dtype == np.uint8
            assert shares(frame, RED, GREEN, BLUE) == [
                1200 * (c == colour) for c in (RED, GREEN, BLUE)
            ]

    def test_folders_stay_in_step_and_hold_their_latest_picture(self, tmp_path: Path) -> None:
        one = folder_of(tmp_path / "one", {1: RED, 3: GREEN})
        two = folder_of(tmp_path / "two", {2: BLUE, 3: BROWN})
        film = film_of(one, two)
        assert film.epochs == [1, 2, 3]
        shown = [shares(frame, RED, GREEN, BLUE, BROWN) for frame in film]
        assert shown == [[1200, 0, 0, 0], [1200, 0, 1200, 0], [0, 1200, 0, 1200]]

    def test_panels_stand_beside_each_other_and_small_ones_below(self, tmp_path: Path) -> None:
        tall = folder_of(tmp_path / "tall", {1: RED}, (200, 400))
        low = folder_of(tmp_path / "low", {1: GREEN}, (200, 150))
        flat = folder_of(tmp_path / "flat", {1: BLUE}, (200, 150))

        def corner(frame: NDArray[np.uint8], colour: Colour) -> tuple[int, int]:
            y, x = np.argwhere((frame == colour).all(axis=2)).min(axis=0)
            return int(x), int(y)

        frame = film_of(tall, low, flat).frame(0)
        red, green, blue = (corner(frame, c) for c in (RED, GREEN, BLUE))
        assert red[0] < green[0] == blue[0]
        assert red[1] == green[1] < blue[1]
        assert shares(frame, RED, GREEN, BLUE) == [80000, 30000, 30000]

    def test_pictures_of_other_sizes_are_centred_on_one_canvas(self, tmp_path: Path) -> None:
        paint(tmp_path / "1.png", RED, (300, 20))
        paint(tmp_path / "2.png", GREEN, (240, 80))
        film = film_of(tmp_path)
        middles = []
        for frame, colour, area in zip(film, (RED, GREEN), (6000, 19200), strict=True):
            ys, xs = np.nonzero((frame == colour).all(axis=2))
            assert len(ys) == area
            middles.append((xs.mean(), ys.mean()))
        np.testing.assert_allclose(*middles, atol=0.51)

    @pytest.mark.parametrize("scale", [1, 2, 3])
    def test_whole_factors_keep_pixels_sharp(self, tmp_path: Path, scale: int) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (150, 180, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "1.png")
        frame = film_of(tmp_path, scale=scale).frame(0)
        large = pixels.repeat(scale, 0).repeat(scale, 1)
        y, x = np.argwhere((frame == large[0, 0]).all(axis=2))[0]
        np.testing.assert_array_equal(frame[y : y + 150 * scale, x : x + 180 * scale], large)

    def test_scale_changes_the_size(self, tmp_path: Path) -> None:
        folder_of(tmp_path, {1: RED}, (600, 400))
        full, half = film_of(tmp_path).size, film_of(tmp_path, scale=0.5).size
        assert full[0] / half[0] == pytest.approx(2, rel=0.02)
        assert full[1] / half[1] == pytest.approx(2, rel=0.05)

    @settings(max_examples=20, deadline=None)
    @given(
        name=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=60),
        epoch=st.integers(0, 10**9),
        scale=st.floats(0.1, 3),
    )
    def test_labels_never_overlap(
        self, tmp_path_factory: pytest.TempPathFactory, name: str, epoch: int, scale: float
    ) -> None:
        folder = folder_of(tmp_path_factory.mktemp("film"), {epoch: RED}, (8, 8))
        frame = FrameSequence([find_pictures(folder, name)], scale).frame(0)
        size, margin = int(np.clip(round(14 * scale), 11, 42)), max(4, round(12 * scale))
        labels = frame[: margin + drawing.line_height(size) + margin]
        written = (labels != 255).any(axis=(0, 2))
        epoch_width = drawing.text_width(f"epoch {epoch}", size)
        # From the right: margin, epoch, a blank margin, the name.
        assert not written[-margin + 1 :].any()
        assert written[-margin - epoch_width : -margin].any()
        assert not written[-2 * margin - epoch_width + 1 : -margin - epoch_width - 1].any()
        assert written[margin : -2 * margin - epoch_width].any()
        assert not written[: margin - 1].any()

    @pytest.mark.parametrize("colour", [90, (0, 0, 220), (0, 0, 220, 255)])
    def test_any_mode_is_shown_in_its_colours(self, tmp_path: Path, colour: Colour) -> None:
        paint(tmp_path / "1.png", colour)
        wanted = (colour,) * 3 if isinstance(colour, int) else colour[:3]
        assert shares(film_of(tmp_path).frame(0), wanted) == [1200]

    def test_a_picture_taken_sideways_stands_upright(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (300, 200), RED).save(tmp_path / "1.png", exif=exif)
        ys, xs = np.nonzero((film_of(tmp_path).frame(0) == RED).all(axis=2))
        assert (np.ptp(xs) + 1, np.ptp(ys) + 1) == (200, 300)

    def test_of_very_many_frames_each_can_be_drawn(self, tmp_path: Path) -> None:
        paint(tmp_path / "0.png", RED)
        for epoch in range(1, 2000):
            (tmp_path / f"{epoch}.png").hardlink_to(tmp_path / "0.png")
        film = film_of(tmp_path)
        assert film.size[0] < 1000
        for index in (0, 1999):
            assert shares(film.frame(index), RED) == [1200]

    def test_an_unreadable_picture_is_named(self, tmp_path: Path) -> None:
        folder_of(tmp_path, {1: RED, 2: GREEN})
        whole = (tmp_path / "epoch-2.png").read_bytes()
        (tmp_path / "epoch-2.png").write_bytes(whole[:60])
        with pytest.raises(UnreadableImage, match=r"epoch-2\.png"):
            save_animation(tmp_path / "a.gif", film_of(tmp_path))
        (tmp_path / "epoch-2.png").write_text("text")
        with pytest.raises(UnreadableImage, match=r"epoch-2\.png"):
            film_of(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-1.png", "epoch-2.png"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
    def test_a_named_pipe_among_the_pictures_is_not_waited_for(self, tmp_path: Path) -> None:
        folder_of(tmp_path, {1: RED})
        os.mkfifo(tmp_path / "2.png")
        with pytest.raises(UnreadableImage, match=r"2\.png: not a regular file"):
            film_of(tmp_path)


class TestPalette:
    @settings(max_examples=20, deadline=None)
    @given(st.data())
    def test_few_colours_are_kept_exactly(self, data: st.DataObject) -> None:
        colours = data.draw(
            arrays.arrays(np.uint8, st.tuples(st.integers(1, MOST_COLOURS), st.just(3)))
        )
        picks = st.lists(st.integers(0, len(colours) - 1), min_size=6, max_size=6)
        frames = [colours[data.draw(picks)].reshape(2, 3, 3) for _ in range(2)]
        palette = shared_palette(frames)
        for frame in frames:
            np.testing.assert_array_equal(palette.colours[palette.index(frame)], frame)

    def test_many_colours_come_close_and_common_ones_stay_exact(self) -> None:
        rng = np.random.default_rng(0)
        # A photograph's smooth colours, on much white.
        smooth = np.linspace([20, 60, 120], [250, 200, 90], 40_000) + rng.normal(0, 6, (40_000, 3))
        frame = np.full((300, 200, 3), 255, np.uint8)
        frame[:200] = smooth.clip(0, 255).astype(np.uint8).reshape(200, 200, 3)
        palette = shared_palette([frame])
        assert len(palette.colours) <= MOST_COLOURS
        shown = palette.colours[palette.index(frame)]
        np.testing.assert_array_equal(shown[200:], frame[200:])
        assert np.abs(shown.astype(int) - frame).mean() < 4

    def test_all_greys_and_a_colour_scale_together_look_right(self) -> None:
        greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
        frame = np.stack([greys, drawing.difference_colours()])
        palette = shared_palette([frame])
        shown = palette.colours[palette.index(frame)]
        assert np.abs(shown.astype(int) - frame).max() <= 6

    def test_the_choice_is_the_same_every_time(self) -> None:
        frame = np.random.default_rng(1).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        one, two = shared_palette([frame]), shared_palette([frame])
        np.testing.assert_array_equal(one.colours, two.colours)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".GIF"])
class TestFiles:
    def test_frames_are_shown_in_order_exactly_and_for_ever(
        self, tmp_path: Path, suffix: str
    ) -> None:
        one = folder_of(tmp_path / "one", {1: RED, 2: GREEN, 10: BLUE})
        two = folder_of(tmp_path / "two", {1: BLUE, 10: BROWN})
        film, path = film_of(one, two), tmp_path / f"film{suffix}"
        seconds = save_animation(path, film, fps=4)
        frames, durations, about = reopened(path)
        assert about["loop"] == 0
        assert durations == [250, 250, 250 + 1000 * LAST_FRAME_HELD]
        assert seconds == pytest.approx(sum(durations) / 1000)
        # The edges of letters have more shades than a GIF has colours.
        off = 0 if suffix == ".webp" else 2
        for shown, wanted in zip(frames, film, strict=True):
            assert np.abs(shown.astype(int) - wanted).max() <= off
            assert shares(shown, RED, GREEN, BLUE, BROWN) == shares(wanted, RED, GREEN, BLUE, BROWN)

    def test_equal_pictures_make_a_frame_each(self, tmp_path: Path, suffix: str) -> None:
        folder = folder_of(tmp_path / "true", dict.fromkeys(range(5), RED))
        save_animation(tmp_path / f"film{suffix}", film_of(folder), fps=10)
        frames, durations, _ = reopened(tmp_path / f"film{suffix}")
        assert len(frames) == 5
        assert sum(durations) == 1500

    def test_one_epoch_makes_a_still_picture(self, tmp_path: Path, suffix: str) -> None:
        film = film_of(folder_of(tmp_path / "true", {7: RED}))
        save_animation(tmp_path / f"film{suffix}", film)
        frames, _, _ = reopened(tmp_path / f"film{suffix}")
        assert len(frames) == 1
        np.testing.assert_array_equal(frames[0], film.frame(0))

    def test_photographs_keep_their_colours(self, tmp_path: Path, suffix: str) -> None:
        rows, columns = np.mgrid[:96, :128]
        for epoch in (1, 2, 3):
            waves = [np.sin(rows / 15 + epoch), np.cos(columns / 21), np.sin((rows + columns) / 30)]
            pixels = np.stack([128 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{epoch}.png")
        film, path = film_of(tmp_path), tmp_path / f"film{suffix}"
        save_animation(path, film)
        for shown, wanted in zip(reopened(path)[0], film, strict=True):
            assert np.abs(shown.astype(int) - wanted).mean() < 4

    def test_an_earlier_file_is_replaced_and_nothing_else_is_left(
        self, tmp_path: Path, suffix: str
    ) -> None:
        film = film_of(folder_of(tmp_path / "true", {1: RED, 2: GREEN}))
        path = tmp_path / "new" / f"film{suffix}"
        save_animation(path, film, fps=1)
        first = path.read_bytes()
        save_animation(path, film, fps=1)
        assert path.read_bytes() == first
        assert [p.name for p in path.parent.iterdir()] == [path.name]


@given(count=st.integers(1, 60), fps=st.floats(0.1, 50))
def test_rounding_never_adds_up(count: int, fps: float) -> None:
    ticks = _durations(count, fps, 0.01)
    assert len(ticks) == count
    assert min(ticks) >= 1
    assert sum(ticks) / 100 == pytest.approx(count / fps + LAST_FRAME_HELD, abs=0.0051)


@pytest.mark.parametrize("fps", [0, -1, 0.0001, 51, float("nan"), float("inf")])
def test_speeds_out_of_range_are_refused(fps: float) -> None:
    with pytest.raises(UsageError, match=r"'fps=.*' is out of range") as caught:
        check_request(Path("film.gif"), fps)
    assert caught.value.hint == "it is from 0.01 to 50"


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_the_slowest_speed_can_be_written(tmp_path: Path, suffix: str) -> None:
    film = film_of(folder_of(tmp_path / "true", {1: RED, 2: GREEN}))
    path = tmp_path / f"film{suffix}"
    assert save_animation(path, film, fps=SLOWEST) == pytest.approx(200 + LAST_FRAME_HELD)
    assert reopened(path)[1] == [100_000, 101_000]


def test_unknown_formats_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"\.gif, \.webp, \.mp4") as caught:
        check_request(Path("film.gfi"), 2)
    assert caught.value.hint == "did you mean '.gif'?"
    with pytest.raises(UsageError, match="an animation ends in"):
        check_request(Path("film"), 2)


def test_frames_too_large_for_the_format_are_refused(tmp_path: Path) -> None:
    film = film_of(folder_of(tmp_path / "true", {1: RED}, (17_000, 8)))
    with pytest.raises(UsageError, match="16383 a side") as caught:
        save_animation(tmp_path / "film.webp", film)
    assert "'scale=FACTOR'" in caught.value.hint
    save_animation(tmp_path / "film.gif", film)
    film = film_of(folder_of(tmp_path / "fake", {1: RED}, (900, 800)), scale=10)
    with pytest.raises(UsageError, match="more than memory holds"):
        save_animation(tmp_path / "film.gif", film)


def test_a_film_can_be_written_as_video_where_there_is_ffmpeg(tmp_path: Path) -> None:
    if not _ffmpeg():
        pytest.skip("there is no ffmpeg")
    film = film_of(folder_of(tmp_path / "true", {1: RED, 2: GREEN}, (301, 201)))
    assert save_animation(tmp_path / "film.mp4", film, fps=2) == 2
    width, height = film.size
    shape = (height + height % 2, width + width % 2, 3)
    command = [_ffmpeg(), "-i", tmp_path / "film.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    frames = np.frombuffer(decoded, np.uint8).reshape(-1, *shape)
    assert len(frames) == 4
    for shown, wanted in zip(frames, [*film, film.frame(1), film.frame(1)], strict=True):
        assert np.abs(shown[:height, :width].astype(int) - wanted).mean() < 8


def test_without_ffmpeg_video_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match="no ffmpeg") as caught:
        check_request(Path("film.mp4"), 2)
    assert "pip install imageio-ffmpeg" in caught.value.hint


def test_a_still_is_the_last_frame(tmp_path: Path) -> None:
    film = film_of(folder_of(tmp_path / "true", {1: RED, 2: GREEN}, (30, 20)))
    save_still(tmp_path / "last.png", film)
    with Image.open(tmp_path / "last.png") as still:
        assert np.array_equal(np.asarray(still), film.frame(1))
    with pytest.raises(UsageError, match=r"ends in \.png"):
        save_still(tmp_path / "last.jpg", film)


def test_the_heading_of_a_grid_is_cut_off_as_the_frame_has_the_epoch(tmp_path: Path) -> None:
    images = np.full((4, 1, 16, 16), 90, np.uint8)
    (tmp_path / "fake").mkdir()
    for epoch, heading in ((0, "untrained"), (3, "epoch 3"), (4, "epoch 4: calibration images")):
        sample_grid(tmp_path / "fake" / f"epoch-{epoch:04d}.png", images, heading=heading)
    folder = find_pictures(tmp_path / "fake")
    with Image.open(folder.pictures[3]) as grid:
        rows = grid.height
    film = FrameSequence([folder])
    cut = FrameSequence([replace(folder, pictures={3: folder.pictures[3]})])
    assert film.size[1] - cut.size[1] == MARGIN + line_height(HEADING)  # epoch 4 says more
    assert cut.size[1] < rows + 40


@pytest.mark.parametrize(("count", "side"), [(1, 4000), (40, 600)])
def test_frames_of_large_pictures_are_reduced(tmp_path: Path, count: int, side: int) -> None:
    colours = dict.fromkeys(range(count), RED)
    paths = [folder_of(tmp_path / name, colours, (side, side // 2)) for name in ("a", "b", "c")]
    film = FrameSequence.reduced([find_pictures(path) for path in paths])
    assert max(film.size) <= 1600
    assert film.size[0] * film.size[1] * count <= 10_000_000 or film.size[0] <= 800
    small = find_pictures(folder_of(tmp_path / "small", {1: RED}, (60, 40)))
    assert FrameSequence.reduced([small]).size == FrameSequence([small]).size


def test_no_folders_are_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no folders"):
        FrameSequence([])
