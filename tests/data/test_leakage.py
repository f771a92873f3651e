from __future__ import annotations

import json

import numpy as np

from bigan_cli.data.image_set import ImageSet
from bigan_cli.data.leakage import LeakageReport, audit_splits, content_digests


def image_set(pixels: np.ndarray, split: str) -> ImageSet:
    count = len(pixels)
    names = [f"{split}/{i}" for i in range(count)]
    return ImageSet(pixels, np.zeros(count, np.int64), np.zeros(count, bool), names)


def audit(**pixels: np.ndarray) -> LeakageReport:
    sets = {name: image_set(of, name) for name, of in pixels.items()}
    return audit_splits(sets, {name: content_digests(of.pixels) for name, of in sets.items()})


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 8, 8)).astype(np.uint8)


def test_different_images_pass() -> None:
    clean = audit(train=noise(20, 0), test=noise(20, 1), calibration=noise(0, 2))
    assert clean.overlaps == ()
    assert clean.notes() == ()


def test_every_copy_is_counted_and_named() -> None:
    train, test = noise(20, 0), noise(10, 1)
    test[3] = test[7] = train[5]
    found = audit(train=train, test=test).overlaps
    assert [(o.first, o.second, o.images) for o in found] == [("train", "test", 2)]
    assert found[0].examples == (("train/5", "test/3"), ("train/5", "test/7"))


def test_each_pair_of_splits_is_compared() -> None:
    same = noise(1, 0)
    found = audit(train=same, validation=same, calibration=same, test=same).overlaps
    assert len(found) == 6


def test_one_grey_level_is_a_difference() -> None:
    train = noise(1, 0)
    test = train.copy()
    test[0, 0, 7, 7] ^= 1
    assert audit(train=train, test=test).overlaps == ()


def test_examples_are_few_and_the_report_is_plain() -> None:
    same = noise(50, 0)
    found = audit(train=same, test=same)
    assert len(found.overlaps[0].examples) == 5
    assert json.loads(json.dumps(found.as_dict()))["overlaps"][0]["images"] == 50
    assert found.notes()[0].startswith("50 test images are identical to train images")


def test_digest_depends_on_content_alone() -> None:
    images = noise(4, 0)
    assert content_digests(images[::-1]) == content_digests(images)[::-1]
    assert content_digests(images) == content_digests(np.asfortranarray(images))
