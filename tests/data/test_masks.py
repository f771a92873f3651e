from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigan_cli.data.image_set import ImageSet
from bigan_cli.data.masks import Masks, find_masks, read_mask
from bigan_cli.data.unreadable import UnreadableImage

# The right half of the upper two rows.
MARKED = np.zeros((4, 6), np.uint8)
MARKED[:2, 3:] = 1


def image_set(
    outlier: list[bool], masks: list[Any] | None, sources: list[Any] | None = None
) -> ImageSet:
    count = len(outlier)
    return ImageSet(
        np.zeros((count, 1, 8, 12), np.uint8),
        np.array(outlier, np.int64),
        np.array(outlier),
        [str(i) for i in range(count)],
        masks,
        sources,
    )


def marked(masks: Masks) -> list[int]:
    """Return how many pixels of each image are anomalous."""
    return [int(masks.anomalous(image).sum()) for image in masks.index.tolist()]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
def test_any_value_but_zero_marks_a_pixel_in_every_mode(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        picture = Image.fromarray(MARKED).convert("P")
        # Both colours look the same: it is the index that counts.
        picture.putpalette([255, 255, 255] * 2)
    elif mode == "I;16":
        picture = Image.fromarray(MARKED.astype(np.uint16) * 300)
    else:
        picture = Image.fromarray(MARKED * 255).convert(mode)
    picture.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as saved:
        assert saved.mode == mode
    assert (read_mask(tmp_path / "mask.png", 4, 6) == MARKED).all()


def test_a_faint_mask_in_one_channel_counts(tmp_path: Path) -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[..., 2] = MARKED
    Image.fromarray(rgb).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png", 4, 6) == MARKED).all()


def test_resizing_keeps_edges_sharp(tmp_path: Path) -> None:
    Image.fromarray(MARKED * 255).save(tmp_path / "mask.png")
    expected = MARKED.repeat(2, axis=0).repeat(2, axis=1)
    assert (read_mask(tmp_path / "mask.png", 8, 12) == expected).all()
    assert (read_mask(tmp_path / "mask.png", 2, 2) == [[0, 1], [0, 0]]).all()


def test_thin_defects_stay_in_a_reduced_mask() -> None:
    scratch = np.zeros((256, 256), np.bool_)
    scratch[:, 101] = True
    scratch[3, :] = True
    for size in (16, 17, 100, 255):
        found = read_mask(scratch, size, size)
        rows, columns = found.sum(axis=1), found.sum(axis=0)
        assert (rows > 0).all()
        assert (columns > 0).all()
        assert found[-1].sum() <= 2  # one column, which may lie in two areas
    assert read_mask(scratch, 512, 512).sum() == 4 * scratch.sum()
    assert read_mask(scratch, 256, 512).shape == (256, 512)


def test_normal_images_are_empty_and_anomalies_without_a_mask_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    Image.fromarray(MARKED * 255).save(file)
    masks = find_masks(image_set([False, True, True, False], [None, None, file, None]))
    assert masks is not None
    assert masks.index.tolist() == [0, 2, 3]
    assert masks.anomalous(0).shape == (8, 12)
    assert marked(masks) == [0, 4 * MARKED.sum(), 0]


def test_masks_are_of_the_size_that_the_image_has_in_its_dataset(tmp_path: Path) -> None:
    turned = Image.new("L", (40, 30))
    exif = turned.getexif()
    exif[0x0112] = 6  # upright, it is 40 high and 30 wide
    turned.save(tmp_path / "turned.jpg", exif=exif)
    sources = [np.zeros((20, 24, 3), np.uint8), Image.new("L", (60, 50)), tmp_path / "turned.jpg"]
    masks = find_masks(image_set([True, False, True], [MARKED, None, MARKED], sources))
    assert masks is not None
    assert [masks.anomalous(i).shape for i in range(3)] == [(20, 24), (50, 60), (40, 30)]
    assert marked(masks) == [20 * 24 // 4, 0, 40 * 30 // 4]


@pytest.mark.parametrize("masks", [None, [None, None]])
def test_without_any_mask_there_is_nothing(masks: list[Path | None] | None) -> None:
    assert find_masks(image_set([False, True], masks)) is None


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file"), (b"no picture", "not an image")]
)
def test_an_unreadable_mask_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "000_mask.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        find_masks(image_set([True], [file]))
    assert str(file) in str(caught.value)


def disc() -> tuple[np.ndarray, np.ndarray]:
    """Return a soft-edged mask, 0 to 255, and where it is above one half."""
    rows, columns = np.mgrid[:32, :32]
    soft = np.clip(8.5 - np.hypot(rows - 16, columns - 16), 0, 1)
    return (soft * 255).round().astype(np.uint8), soft > 0.5


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tif"])
@pytest.mark.parametrize("largest", [255, 200])
def test_soft_edges_and_noise_do_not_count(tmp_path: Path, suffix: str, largest: int) -> None:
    soft, truth = disc()
    file = tmp_path / f"mask.{suffix}"
    Image.fromarray((soft / 255 * largest).astype(np.uint8)).save(file)
    found = read_mask(file, 32, 32)
    assert (found != truth).sum() <= 12  # of about 200, at the edge
    assert not found[:5].any()


def test_noise_of_a_blank_jpeg_is_no_anomaly(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 9, (32, 32)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "mask.jpg")
    assert not read_mask(tmp_path / "mask.jpg", 32, 32).any()


def test_numbers_of_kinds_of_defects_all_count(tmp_path: Path) -> None:
    kinds = np.array([[0, 1], [2, 9]], np.uint8)
    Image.fromarray(kinds).save(tmp_path / "mask.png")
    for mask in (tmp_path / "mask.png", kinds, Image.fromarray(kinds), kinds > 0):
        assert read_mask(mask, 2, 2).tolist() == [[False, True], [True, True]]


def test_a_palette_of_greys_means_its_greys(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    picture.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", 1, 2).tolist() == [[True, False]]


def test_several_masks_of_one_image_add_up() -> None:
    left, right = np.array([[1, 0, 0]], bool), np.array([[0, 0, 1]], bool)
    assert read_mask((left, right), 1, 3).tolist() == [[True, False, True]]


def test_arrays_serve_as_masks_and_what_marks_nothing_is_named() -> None:
    blank = np.zeros((4, 6), bool)
    masks = find_masks(image_set([False, True, True, True], [None, MARKED, blank, None]))
    assert masks is not None
    assert masks.index.tolist() == [0, 1, 2]
    assert marked(masks) == [0, 4 * MARKED.sum(), 0]
    assert masks.blank == ("2",)
    assert masks.without == 1
    assert len(masks.warnings()) == 2


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_turned_mask_is_upright(tmp_path: Path, suffix: str) -> None:
    marked = np.zeros((8, 16), np.uint8)
    marked[:4, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(np.rot90(marked).copy()).save(path, exif=exif)
    assert np.array_equal(read_mask(path, 8, 16), marked > 0)


def test_masks_of_another_aspect_ratio_are_named(tmp_path: Path) -> None:
    whole, half, other = np.ones((4, 6), bool), np.ones((2, 3), bool), np.ones((6, 4), bool)
    sources = [np.zeros((4, 6), np.uint8)] * 3
    masks = find_masks(image_set([True] * 3, [whole, half, other], sources))
    assert masks is not None
    assert masks.stretched == ("2",)
    assert "another aspect ratio" in masks.warnings()[0]
