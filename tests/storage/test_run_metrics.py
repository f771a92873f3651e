"""metrics.jsonl: appended to, and read in spite of a last line that is incomplete."""

from __future__ import annotations

import pytest

from bigan_cli.errors import RunDirectoryError
from bigan_cli.storage.run_directory import RunDirectory


def record(member, epoch):
    figures = {"images_per_second": 100.0, "seconds": 1.0, "validation": 0.5}
    return {"member": member, "epoch": epoch, "losses": {"d": 1.0}, "best": True, **figures}


def rows_of(run):
    return [(row["member"], row["epoch"]) for row in run.metrics()]


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path)
    for epoch in (1, 2):
        run.append_metrics(record(1, epoch))
    return run


@pytest.mark.parametrize("torn", ['{"member": 1, "epo', '{"member": 1, "epoch": 3}', "\x00\x00"])
def test_an_incomplete_last_line_is_left_out(run, torn):
    with run.metrics_file.open("a") as file:
        file.write(torn)
    assert rows_of(run) == [(1, 1), (1, 2)]
    run.write_metrics(run.metrics())
    run.append_metrics(record(1, 3))
    assert rows_of(run) == [(1, 1), (1, 2), (1, 3)]


def test_the_order_is_by_member_and_epoch(run):
    run.append_metrics(record(2, 1))
    run.append_metrics(record(1, 3))
    assert rows_of(run) == [(1, 1), (1, 2), (1, 3), (2, 1)]


@pytest.mark.parametrize("line", ["{", "[]", '{"epoch": 1}', '{"member": 1, "epoch": null}'])
def test_damage_elsewhere_is_reported(run, line):
    run.metrics_file.write_text(f'{line}\n{{"member": 1, "epoch": 2}}\n')
    with pytest.raises(RunDirectoryError, match="is damaged"):
        run.metrics()
