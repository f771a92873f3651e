"""The self-test: synthetic defects on normal images, and what it says of a detector."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bigan_cli.evaluation.synthetic_defects import KINDS, paint
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.self_test import self_test

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
    """Finds changes of more than so many pixels."""

    default_fpr = 0.05

    def __init__(self, least: float) -> None:
        self.least = least

    def predict(self, images: np.ndarray) -> np.ndarray:
        distances = np.abs(images[:, None].astype(int) - NORMAL[None]).max(axis=2) > 10
        return distances.sum(axis=(2, 3)).min(axis=1) >= self.least


def test_it_says_what_is_found_and_writes_it(tmp_path):
    run = RunDirectory(tmp_path)
    state = np.random.get_state()[1].sum()  # noqa: NPY002
    found = self_test(run, NORMAL, trained=_Detector(4), untrained=_Detector(1e9))
    assert np.random.get_state()[1].sum() == state  # noqa: NPY002
    assert json.loads(run.self_test_file.read_text()) == found.as_dict()
    assert {row.kind for row in found.rows} == set(KINDS)
    large = [row for row in found.rows if row.pixels == 16 and row.kind == "cut-paste"]
    assert large[0].found == large[0].total
    assert any("finds cut-paste defects from" in line for line in found.remarks())
    assert not any("gained nothing" in line for line in found.remarks())


def test_it_says_plainly_that_nothing_was_found_and_nothing_gained(tmp_path):
    blind = _Detector(1e9)
    lines = self_test(RunDirectory(tmp_path), NORMAL, trained=blind, untrained=blind).remarks()
    assert sum("does not find" in line for line in lines) == len(KINDS)
    assert "training gained nothing" in lines[-1]
