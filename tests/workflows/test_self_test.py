"""The self-test: synthetic defects on normal images, and what it says of a detector."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from bigan_cli.contracts import ImageShape
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.evaluation.pixel_pca import PixelPCA
from bigan_cli.evaluation.synthetic_defects import KINDS, paint
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.self_test import sample, self_test
from bigan_cli.workflows.self_test_result import (
    DiscordantPairs,
    FoundDefects,
    SelfTest,
    read_self_test,
    write_self_test,
)

NORMAL = np.random.default_rng(0).normal(128, 12, (6, 1, 64, 96)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 8, 30])
def test_a_defect_changes_as_much_of_the_image_as_its_size_says(kind, size):
    painted = paint(NORMAL[0], NORMAL[1], kind, size, np.random.default_rng(3))
    assert painted.dtype == np.uint8
    assert painted.shape == NORMAL[0].shape
    changed = np.argwhere(np.abs(painted.astype(int) - NORMAL[0]).max(axis=0) > 10)
    assert (painted != NORMAL[0]).any()
    assert not len(changed) or np.ptp(changed, axis=0).max() <= 2.2 * size + 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_paints_the_same(kind):
    one, two = (paint(NORMAL[0], NORMAL[1], kind, 8, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one, two)


class _Detector:
    """Finds changes of more than so many pixels, in its region of interest."""

    default_fpr = 0.05

    def __init__(self, least: float, roi: RegionOfInterest | None = None) -> None:
        self.least = least
        self.roi = roi
        self.painted = np.empty(0)

    def predict(self, images: np.ndarray, fpr: float) -> np.ndarray:
        assert 0 < fpr < 1
        distances = np.abs(images[:, None].astype(int) - NORMAL[None]).max(axis=2) > 10
        closest = distances.sum(axis=(2, 3)).argmin(axis=1)
        self.painted = distances[np.arange(len(images)), closest]
        return self.painted.sum(axis=(1, 2)) >= self.least


def run_self_test(trained: _Detector, untrained: _Detector) -> SelfTest:
    return self_test(NORMAL, NORMAL, "of a model", trained=trained, untrained=untrained)


def test_it_counts_what_is_found_and_is_stored(tmp_path):
    run = RunDirectory(tmp_path)
    state = np.random.get_state()[1].sum()  # noqa: NPY002
    found = run_self_test(_Detector(4), _Detector(1e9))
    assert np.random.get_state()[1].sum() == state  # noqa: NPY002
    write_self_test(run, found)
    assert json.loads(run.self_test_file.read_text()) == found.as_dict()
    assert read_self_test(run) == found
    assert {row.kind for row in found.rows} == set(KINDS)
    large = [row for row in found.rows if row.pixels == 16 and row.kind == "cut-paste"]
    assert large[0].found == large[0].total
    assert any("finds cut-paste defects from" in line for line in found.remarks())
    assert not any("gained nothing" in line for line in found.remarks())


ROW = '{"kind": "stain", "pixels": 8, "found": "3", "untrained": 0, "pca": 0, "total": 3}'
DAMAGED = (
    *("", "{}", "[" * 100_000, '{"defects": [{}]}'),
    '{"model_sha256": "x", "fpr": 2, "defects": []}',
    f'{{"model_sha256": "x", "fpr": 0.1, "defects": [{ROW}]}}',
)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_none(tmp_path, text):
    run = RunDirectory(tmp_path)
    run.self_test_file.parent.mkdir()
    run.self_test_file.write_text(text)
    assert read_self_test(run) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.timeout(30)
def test_a_named_pipe_is_not_waited_for(tmp_path):
    run = RunDirectory(tmp_path)
    run.self_test_file.parent.mkdir()
    os.mkfifo(run.self_test_file)
    assert read_self_test(run) is None


def test_it_says_plainly_that_nothing_was_found_and_nothing_gained():
    blind = _Detector(1e9)
    lines = run_self_test(blind, blind).remarks()
    assert sum("does not find" in line for line in lines) == len(KINDS)
    assert sum("gained nothing" in line for line in lines) == 2
    assert any("over PCA on the pixels" in line for line in lines)


CLEAR = DiscordantPairs(50, 0)


def found_in(*rows: FoundDefects, pairs: DiscordantPairs = CLEAR) -> SelfTest:
    return SelfTest("", 0.05, (64, 96), rows, versus_untrained=pairs, versus_pca=pairs)


@pytest.mark.parametrize(
    ("model", "other", "within_chance"), [(9, 4, True), (5, 0, True), (6, 0, False), (20, 6, False)]
)
def test_a_difference_within_chance_is_stated(model, other, within_chance):
    untrained = 60
    row = FoundDefects("stain", 8, untrained + model - other, untrained, untrained, 128)
    remarks = found_in(row, pairs=DiscordantPairs(model, other)).remarks()
    assert any("training made no clear difference" in line for line in remarks) == within_chance
    assert any("not clearly better than PCA" in line for line in remarks) == within_chance
    p_value = mcnemar_by_hand(model, other)
    assert (p_value > 0.05) == within_chance
    assert not within_chance or f"p = {p_value:.2g})" in " ".join(remarks)


def mcnemar_by_hand(one: int, other: int) -> float:
    number = one + other
    tail = sum(math.comb(number, k) for k in range(min(one, other) + 1)) / 2**number
    return min(1.0, 2 * tail)


def test_the_pairs_are_of_the_same_defects():
    found = run_self_test(_Detector(4), _Detector(40))
    pairs = found.versus_untrained
    assert pairs.other == 0
    assert pairs.model == sum(row.found - row.untrained for row in found.rows) > 0


def test_a_size_counts_only_if_all_larger_ones_are_found():
    counts = {4: 3, 8: 0, 16: 2, 32: 3}
    rows = [FoundDefects("scratch", size, found, 0, 0, 3) for size, found in counts.items()]
    assert "finds scratch defects from 16 pixels on" in found_in(*rows).remarks()


def test_the_verdict_names_what_is_found_and_what_is_not():
    found = {
        **{("stain", size): 3 for size in (4, 8, 16, 32)},
        **{("cut-paste", size): 3 for size in (4, 8, 16, 32)},
        **{("scratch", size): 3 for size in (16, 32)},
    }
    rows = tuple(
        FoundDefects(kind, size, found.get((kind, size), 0), 0, 0, 3)
        for kind in KINDS
        for size in (4, 8, 16, 32)
    )
    assert found_in(*rows).verdict() == (
        "ready to use: finds cut-paste and stain defects from 4 pixels on, scratch defects from "
        "16 pixels on, at the model's 64x96; weak on warp defects"
    )
    blind = _Detector(1e9)
    assert run_self_test(blind, blind).verdict().startswith("not ready to use: ")


def test_defects_are_painted_into_the_region_of_interest():
    mask = np.zeros((64, 96), bool)
    mask[:, :32] = True
    detector = _Detector(1, RegionOfInterest(mask, ImageShape(1, 64, 96)))
    run_self_test(detector, _Detector(1))
    changed = detector.painted.sum(axis=(1, 2))
    inside = detector.painted[:, mask].sum(axis=1)
    assert np.mean(inside >= changed / 2) > 0.9


def test_pca_finds_what_its_components_cannot_show():
    x = np.arange(60.0)
    rng = np.random.default_rng(0)

    def image() -> np.ndarray:
        pattern = 100 + rng.uniform(20, 60) * np.sin(x / 6) + rng.normal(0, 2, (3, 40, 60))
        return pattern.clip(0, 255).astype(np.uint8)

    pca = PixelPCA([image() for _ in range(20)])
    good = pca.scores([image() for _ in range(10)])
    scratched = image()
    scratched[:, 20, 10:40] = 255
    assert pca.scores([scratched])[0] > 5 * good.max()


@pytest.mark.parametrize(("side", "taken"), [(8, 200), (1500, 20)])
def test_a_sample_is_bounded_in_memory(side, taken):
    numbers = (np.arange(250) % 251).astype(np.uint8)[:, None, None, None]
    pixels = np.broadcast_to(numbers, (250, 3, side, side))
    one, two = sample(pixels, pixels[:7], 0)
    assert len(one) == taken
    assert (np.diff(one[:, 0, 0, 0].astype(int)) > 0).all()
    assert np.array_equal(two, pixels[:7])
