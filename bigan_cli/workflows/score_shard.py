"""Scoring of one shard of the inputs, in parts that are written whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.data.sources.find import Input, find_sources
from bigan_cli.data.sources.parts import cut_into_parts
from bigan_cli.locations.location import Location, locate
from bigan_cli.storage.score_parts import PartCounts, ScoreParts
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.map_files import map_files
from bigan_cli.workflows.models import find_model
from bigan_cli.workflows.score_arguments import check_table_name
from bigan_cli.workflows.score_batches import Counts, StoppedError
from bigan_cli.workflows.score_inputs import check_one_exists, no_images
from bigan_cli.workflows.scorer import Scorer, ScorerSettings
from bigan_cli.workflows.shard import Shard

PART_SIZE = 10_000


@dataclass(frozen=True)
class ShardResult:
    """The outcome of scoring one shard.

    Attributes:
        status: ``done``, or ``interrupted`` where ``should_stop`` ended it early.
        folder: Where the parts are.
        parts: How many parts the inputs have; 0 where it was interrupted.
        written: How many of them were written now.
        existing: How many of this shard's existed already.
        counts: Of the parts of this shard.
        threshold: An image is anomalous if its score exceeds this.
    """

    status: str
    folder: Location
    parts: int
    written: int
    existing: int
    counts: PartCounts
    threshold: float


def score_shard(
    inputs: Iterable[Input],
    *,
    shard: str,
    output: str | Location,
    run: Path,
    checkpoint: str = "best",
    part_size: int = PART_SIZE,
    settings: ScorerSettings | None = None,
    recursive: bool = True,
    maps: Path | None = None,
    map_format: str | None = None,
    masks: Path | None = None,
    callbacks: Callbacks | None = None,
) -> ShardResult:
    """Score this process's share of the inputs, in parts, each of them written whole.

    The parts of ``scores.csv`` are in ``scores.csv.parts``; :func:`merge_parts` makes one file of
    them, the same as that of one process. A part that exists is skipped, so a shard that was
    stopped is called again, with any number of shards.

    Args:
        inputs: As of :func:`bigan_cli.workflows.score.score_files`; the same in every process.
        shard: ``2/8`` for the second of eight, or ``auto`` or ``auto/8``; see :class:`Shard`.
        output: The file that the parts become, or its URL.
        run: The run directory.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        part_size: Inputs in a part; an archive is a part of its own.
        settings: How images are scored and labelled.
        recursive: Whether folders are searched recursively.
        maps: A folder for heatmaps.
        map_format: ``overlay``, ``png16`` or ``npy``.
        masks: A folder for masks.
        callbacks: Receive notes, warnings and progress.

    Raises:
        UsageError: Arguments contradict each other, none of *inputs* exists, or existing parts
            are of another model, threshold or inputs.
        DataError: There are no images, or an input cannot be read (if strict).
    """
    callbacks = callbacks or Callbacks()
    mine = Shard.parse(shard)
    target = locate(output)
    check_table_name(target)
    files = map_files(inputs, maps, map_format, masks)
    source = find_model(run, checkpoint)
    check_one_exists(inputs)
    scorer = Scorer.load(source, settings or ScorerSettings(), files, callbacks)
    parts, counts, now = ScoreParts(target), PartCounts(), Counts()
    digests, written, existing, status = list[str](), 0, 0, "done"
    try:
        for part in cut_into_parts(find_sources(inputs, recursive), part_size):
            digests.append(part.digest)
            if not mine.has(part.number):
                continue
            found = parts.existing(part.number, part.digest, scorer.header)
            existing += found is not None
            if found is None:
                rows = scorer.rows(part, now, callbacks)
                found = parts.write(part.number, part.digest, scorer.header, rows)
                written += 1
            counts.add(found)
        if not digests:
            raise no_images(inputs, recursive=recursive)
        parts.finish(digests)
    except StoppedError:
        status = "interrupted"
    return ShardResult(
        status=status,
        folder=parts.folder,
        parts=len(digests) if status == "done" else 0,
        written=written,
        existing=existing,
        counts=counts,
        threshold=scorer.rule.limit,
    )
