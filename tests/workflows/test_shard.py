"""A shard is named by number or by the variables of a scheduler, or there is an error."""

from __future__ import annotations

import pytest

from bigan_cli.errors import UsageError
from bigan_cli.workflows.shard import Shard

SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.parametrize(
    ("text", "environment", "index", "of"),
    [
        ("1/1", {}, 0, 1),
        ("2/8", {"RANK": "5", "WORLD_SIZE": "6"}, 1, 8),
        ("auto", {"RANK": "5", "WORLD_SIZE": "6"}, 5, 6),
        ("auto", SLURM, 3, 4),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_STEP": "3", "SLURM_ARRAY_TASK_ID": "10"}, 2, 4),
        ("auto/8", {"JOB_COMPLETION_INDEX": "0"}, 0, 8),
    ],
)
def test_a_shard_is_found(text, environment, index, of) -> None:
    assert Shard.parse(text, environment) == Shard(index, of)


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("3", {}, "is not a shard"),
        ("a/b", {}, "is not a shard"),
        ("0/4", {}, "does not exist"),
        ("5/4", {}, "does not exist"),
        ("1/0", {}, "does not exist"),
        ("auto", {}, "finds no RANK"),
        ("auto", {"RANK": "1"}, "needs WORLD_SIZE, which is not set"),
        ("auto", {"RANK": "x", "WORLD_SIZE": "2"}, "needs RANK, which is x"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "not how many there are"),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "9"}, "number 6 of 4"),
    ],
)
def test_a_shard_that_is_none_is_an_error(text, environment, message) -> None:
    with pytest.raises(UsageError, match=message):
        Shard.parse(text, environment)


def test_every_part_is_of_one_shard() -> None:
    for of in (1, 3, 7):
        shards = [Shard(index, of) for index in range(of)]
        for part in range(20):
            assert sum(shard.has(part) for shard in shards) == 1
