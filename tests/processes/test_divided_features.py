"""Processes that divide the frozen features, and the windows of a stream, have those of one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
]
SCRIPT = Path(__file__).parent / "divide_features.py"
Arrays = Mapping[str, Any]
COUNTS = ("computed", "decoded", "unreadable")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Arrays, list[Arrays]]:
    """Return the arrays of one process, and those of three."""
    folder = tmp_path_factory.mktemp("divided")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    one, *three = (
        dict(np.load(folder / f"{name}.npz")) for name in ("one", "three-0", "three-1", "three-2")
    )
    return one, three


def test_they_have_the_same_bits(found: tuple[Arrays, list[Arrays]]) -> None:
    one, three = found
    compared = [name for name in one if not name.startswith(COUNTS)]
    assert {"train", "vectors with cache", "pixels without cache"} <= {*compared}
    for name in compared:
        for each in three:
            assert each[name].dtype == one[name].dtype
            assert each[name].tobytes() == one[name].tobytes(), name


def test_each_does_a_part_of_the_work(found: tuple[Arrays, list[Arrays]]) -> None:
    one, three = found
    assert one["computed"] == 46
    assert sum(int(each["computed"]) for each in three) == 46
    assert max(int(each["computed"]) for each in three) <= 18  # of 15.3 on average
    for name in ("decoded without cache", "decoded with cache"):
        decoded = [int(each[name]) for each in three]
        assert sum(decoded) == one[name]
        assert max(decoded) < 0.6 * one[name]


def test_process_0_knows_all_images_that_cannot_be_read(
    found: tuple[Arrays, list[Arrays]],
) -> None:
    one, three = found
    for name in ("unreadable without cache", "unreadable with cache"):
        assert [index for index, _ in one[name]] == ["image 31", "image 44", "image 7"]
        assert three[0][name].tolist() == one[name].tolist()
