"""Which of several processes this one is: by number, or by the variables of a scheduler."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bigan_cli.errors import UsageError

_FORM = re.compile(r"(?P<index>\d{1,9}|auto)(?:/(?P<of>\d{1,9}))?")
_HINT = "'shard=2/8' is the second of eight; 'auto' and 'auto/8' ask the scheduler"


@dataclass(frozen=True)
class Shard:
    """One of several processes that share the parts of the inputs.

    Attributes:
        index: From 0.
        of: How many there are.
    """

    index: int
    of: int

    def has(self, part: int) -> bool:
        """Return whether a part is this shard's."""
        return part % self.of == self.index

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> Shard:
        """Return the shard that ``2/8``, ``auto`` or ``auto/8`` means.

        ``auto`` uses ``RANK`` and ``WORLD_SIZE``, or ``SLURM_ARRAY_TASK_ID`` and the variables
        beside it, or ``JOB_COMPLETION_INDEX``; the last needs the number, ``auto/8``.

        Raises:
            UsageError: It is none of these, or the variables are missing or contradict each other.
        """
        match = _FORM.fullmatch(text)
        if match is None or (match["index"] != "auto" and match["of"] is None):
            raise UsageError(f"'shard={text}' is not a shard", _HINT)
        of = None if match["of"] is None else int(match["of"])
        if match["index"] == "auto":
            shard = _from_scheduler(environment, of)
        else:
            shard = cls(int(match["index"]) - 1, of or 0)
        if not 0 <= shard.index < shard.of:
            raise UsageError(
                f"'shard={text}' is number {shard.index + 1} of {shard.of}, which does not exist",
                _HINT,
            )
        return shard


def _from_scheduler(environment: Mapping[str, str], of: int | None) -> Shard:
    def number(name: str, default: int | None = None) -> int:
        value = environment.get(name, "")
        if not value and default is not None:
            return default
        if not value.isdecimal():
            raise UsageError(f"'shard=auto' needs {name}, which is {value or 'not set'}", _HINT)
        return int(value)

    if "RANK" in environment:
        return Shard(number("RANK"), of or number("WORLD_SIZE"))
    if "SLURM_ARRAY_TASK_ID" in environment:
        first = number("SLURM_ARRAY_TASK_MIN", 0)
        step = max(1, number("SLURM_ARRAY_TASK_STEP", 1))
        index = (number("SLURM_ARRAY_TASK_ID") - first) // step
        return Shard(index, of or number("SLURM_ARRAY_TASK_COUNT"))
    if "JOB_COMPLETION_INDEX" in environment:
        if of is None:
            raise UsageError(
                "'shard=auto' has the index of this job, but not how many there are",
                "'shard=auto/8' says that there are eight",
            )
        return Shard(number("JOB_COMPLETION_INDEX"), of)
    raise UsageError(
        "'shard=auto' finds no RANK, SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX", _HINT
    )
