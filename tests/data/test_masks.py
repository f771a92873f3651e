from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.data.images import ImageSet
from bigan_cli.data.masks import load_masks, read_mask
from bigan_cli.data.unreadable import UnreadableImage

# The right half of the upper two rows.
MARKED = np.zeros((4, 6), np.uint8)
MARKED[:2, 3:] = 1


def image_set(outlier: list[bool], masks: list[Path | None] | None) -> ImageSet:
    count = len(outlier)
    return ImageSet(
        np.zeros((count, 1, 8, 12), np.uint8),
        np.array(outlier, np.int64),
        np.array(outlier),
        [str(i) for i in range(count)],
        masks,
    )


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


def test_normal_images_are_empty_and_anomalies_without_a_mask_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    Image.fromarray(MARKED * 255).save(file)
    masks = load_masks(image_set([False, True, True, False], [None, None, file, None]))
    assert masks is not None
    assert masks.index.tolist() == [0, 2, 3]
    assert masks.anomalous.shape == (3, 8, 12)
    assert masks.anomalous.sum(axis=(1, 2)).tolist() == [0, 4 * MARKED.sum(), 0]


@pytest.mark.parametrize("masks", [None, [None, None]])
def test_without_any_mask_there_is_nothing(masks: list[Path | None] | None) -> None:
    assert load_masks(image_set([False, True], masks)) is None


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file"), (b"no picture", "not an image")]
)
def test_an_unreadable_mask_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "000_mask.png"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        load_masks(image_set([True], [file]))
    assert str(file) in str(caught.value)
