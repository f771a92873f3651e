"""Merging the parts of several shards into one table of scores."""

from __future__ import annotations

from dataclasses import dataclass

from bigan_cli.atomic import atomic_write
from bigan_cli.errors import UsageError
from bigan_cli.locations.location import Location, locate
from bigan_cli.storage.remote_output import written_here
from bigan_cli.storage.score_parts import PartCounts, ScoreParts
from bigan_cli.workflows.score_arguments import check_table_name


@dataclass(frozen=True)
class MergeResult:
    """The outcome of merging parts.

    Attributes:
        output: The file that was written.
        parts: How many parts it was made of.
        counts: Of all rows.
        threshold: An image is anomalous if its score exceeds this.
    """

    output: Location
    parts: int
    counts: PartCounts
    threshold: float


def merge_parts(output: str | Location) -> MergeResult:
    """Write the rows of all parts of *output* into one file, as one process would have.

    Raises:
        DataError: A part is missing, or there are no rows.
        UsageError: The parts are of different models, thresholds or inputs.
    """
    target = locate(output)
    check_table_name(target)
    with written_here(target) as file:
        if file.is_dir():
            raise UsageError(f"{target} is a folder", "the output is a file")
        with atomic_write(file) as whole:
            number, counts, computed = ScoreParts(target).merge(whole)
    return MergeResult(target, number, counts, computed.threshold)
