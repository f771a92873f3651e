"""The recipe that the sizes of images choose."""

from __future__ import annotations

import numpy as np
import pytest

from bigan_cli.datasets._size_recipe import recipe_for, recipe_for_sizes


def images(height: int, width: int) -> list[np.ndarray]:
    return [np.zeros((height, width, 3), np.uint8)] * 3


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((65, 65), [256, 256]),
        ((200, 300), [256, 384]),
        ((300, 300), [288, 288]),
        ((480, 640), [384, 512]),
        ((3000, 2000), [576, 384]),
        ((400, 4000), [384, 1024]),
    ],
)
def test_photographs_are_resized_to_a_short_side_of_256_to_384_pixels(size, resized):
    tables, reason = recipe_for(images(*size), None)
    assert tables["data"]["image_size"] == resized
    assert tables["model"]["architecture"] == "features"
    assert f"at {resized[0]}x{resized[1]} pixels" in reason


def test_details_that_large_photographs_lose_are_named():
    assert "fewer than 8 of the original pixels are lost" in recipe_for(images(3000, 4000), None)[1]
    assert "lost" not in recipe_for(images(900, 1200), None)[1]
    assert "tile" in recipe_for(images(3000, 4000), None)[1]
    _, reason = recipe_for_sizes(lambda: [(4000, 3000)], None, can_tile=False)
    assert reason.endswith("original pixels are lost")


def test_small_images_keep_their_size():
    tables, reason = recipe_for(images(64, 80), None)
    assert "data" not in tables
    assert "model" not in tables
    assert not reason
