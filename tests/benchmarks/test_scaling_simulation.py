"""The simulation behind the figures of docs/scaling.md."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def simulation():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import scaling_simulation

        return scaling_simulation


@pytest.fixture(scope="module")
def perfect(simulation):
    """Workers that neither fail nor differ."""
    return simulation.Cluster(
        workers=4, failure_hours=math.inf, slow_share=0.0, spread=0.0, start_seconds=10.0
    )


def test_without_faults_it_is_arithmetic(simulation, perfect):
    found = simulation.simulate(10, 100.0, perfect)
    assert found.finished == pytest.approx(3 * 110)  # 4, 4 and 2 parts
    assert found.useful == pytest.approx(1000)
    assert found.starting == pytest.approx(100)
    assert found.idle == pytest.approx(2 * 110)
    assert (found.attempts, found.lost, found.waiting) == (10, 0, 0)


@given(parts=st.integers(1, 60), hours=st.floats(0.05, 5), seed=st.integers(0, 99))
def test_every_part_is_written_once_whatever_fails(simulation, perfect, parts, hours, seed):
    cluster = replace(perfect, failure_hours=hours)
    found = simulation.simulate(parts, 60.0, cluster, seed)
    assert found.useful == pytest.approx(parts * 60)
    assert found.attempts >= parts
    assert (found.attempts > parts) == (found.waiting > 0)
    assert 0 <= found.waste < 1


def test_the_seed_decides_everything(simulation):
    cluster = simulation.Cluster(workers=20, failure_hours=2.0)
    first, again, other = (simulation.simulate(200, 600.0, cluster, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_small_parts_cost_starts_and_large_ones_lost_work(simulation):
    cluster = simulation.Cluster(workers=50, failure_hours=20.0)
    small = simulation.simulate(20_000, 20.0, cluster)
    large = simulation.simulate(20, 20_000.0, cluster)
    assert small.starting / small.useful > 0.3 > large.starting / large.useful
    assert large.lost > small.lost
