"""Two processes that divide every batch train the networks that one process trains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
]
SCRIPT = Path(__file__).parent / "train_small_networks.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def load(folder: Path, name: str) -> tuple[list[Any], dict[str, Any]]:
    records, state = torch.load(folder / f"{name}.pt", weights_only=False)
    return records, state


# A common offset of all logits changes no loss: the gradient of D's last bias is rounding noise,
# which Adam scales up to whole steps.
def assert_close(one: tuple[list[Any], dict[str, Any]], two: tuple[list[Any], Any]) -> None:
    for first, second in zip(one[0], two[0], strict=True):
        assert second.losses == pytest.approx(first.losses, rel=2e-3, abs=1e-3)
        assert second.validation == pytest.approx(first.validation, rel=1e-3)
    for name, value in one[1]["average"].items():
        torch.testing.assert_close(two[1]["average"][name], value, rtol=5e-3, atol=1e-3, msg=name)


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    for part in ("networks", "average"):
        for name, value in one[part].items():
            assert torch.equal(value, two[part][name]), name


@pytest.mark.parametrize("kind", ["digits", "features"])
def test_two_processes_train_as_one_with_the_same_batch(folder: Path, kind: str) -> None:
    one, two = load(folder, f"{kind}-one"), load(folder, f"{kind}-two-0")
    assert len(one[0]) == 2
    assert_close(one, two)
    assert torch.equal(one[1]["rng"]["cpu"], two[1]["rng"]["cpu"])


@pytest.mark.parametrize("kind", ["digits", "features"])
def test_the_networks_of_all_processes_are_alike(folder: Path, kind: str) -> None:
    first, second = load(folder, f"{kind}-two-0"), load(folder, f"{kind}-two-1")
    assert_same(first[1], second[1])
    assert [r.losses for r in first[0]] == [r.losses for r in second[0]]


@pytest.mark.parametrize("kind", ["digits", "features"])
def test_a_request_to_one_process_stops_all_at_the_same_step(folder: Path, kind: str) -> None:
    states = [load(folder, f"{kind}-stopped-{rank}")[1] for rank in (0, 1)]
    assert [(state["epoch"], state["steps_done"]) for state in states] == [(1, 2), (1, 2)]
    assert_same(*states)


@pytest.mark.parametrize("kind", ["digits", "features"])
def test_as_many_processes_resume_exactly_and_another_number_closely(
    folder: Path, kind: str
) -> None:
    whole, resumed = load(folder, f"{kind}-two-0"), load(folder, f"{kind}-resumed-0")
    assert_same(whole[1], resumed[1])
    assert resumed[0][-1].losses == pytest.approx(whole[0][-1].losses, rel=1e-6)
    alone = load(folder, f"{kind}-resumed-one")
    one = load(folder, f"{kind}-one")
    assert_close((one[0][1:], one[1]), alone)
