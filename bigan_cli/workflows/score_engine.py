"""Scoring on an engine of a plugin: its processes write the parts, which are merged here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.atomic import atomic_write
from bigan_cli.contracts.engine import Cluster, PartWorker
from bigan_cli.data.sources.find import Input, find_sources
from bigan_cli.data.sources.part_list import read_part, write_part_list
from bigan_cli.data.sources.parts import cut_into_parts
from bigan_cli.errors import UsageError
from bigan_cli.locations.location import Location, locate
from bigan_cli.plugins import load_registry
from bigan_cli.plugins.faults import plugin_faults
from bigan_cli.plugins.instances import make_engine
from bigan_cli.storage.remote_output import written_here
from bigan_cli.storage.score_parts import ScoreParts
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.merge import MergeResult, merge_parts
from bigan_cli.workflows.models import find_model
from bigan_cli.workflows.score_arguments import check_table_name
from bigan_cli.workflows.score_batches import Counts
from bigan_cli.workflows.score_inputs import no_images
from bigan_cli.workflows.score_shard import PART_SIZE
from bigan_cli.workflows.scorer import Scorer, ScorerSettings


@dataclass(frozen=True)
class MakeWorker:
    """Makes the worker of one process: it loads the model, and scores parts by their numbers.

    Attributes:
        model: The model file.
        settings: How images are scored and labelled.
        output: What the parts become; they and the list of inputs are beside it.
    """

    model: Path
    settings: ScorerSettings
    output: Location

    def __call__(self) -> PartWorker:
        """Load the model, and return the worker."""
        # Every input that fails has its row; a warning would be lost on another machine.
        callbacks = Callbacks(warn=lambda _text: None)
        source = find_model(self.model, "best")
        scorer = Scorer.load(source, self.settings, None, callbacks)
        parts = ScoreParts(self.output)

        def score_part(number: int) -> None:
            part = read_part(parts.inputs, number)
            if parts.existing(number, part.digest, scorer.header) is None:
                rows = scorer.rows(part, Counts(), callbacks)
                parts.write(number, part.digest, scorer.header, rows)

        return score_part


def score_on_engine(
    inputs: Iterable[Input],
    *,
    engine: str,
    output: str | Location,
    run: Path,
    checkpoint: str = "best",
    address: str | None = None,
    workers: int | None = None,
    part_size: int = PART_SIZE,
    settings: ScorerSettings | None = None,
    recursive: bool = True,
    callbacks: Callbacks | None = None,
) -> MergeResult:
    """Score images on the engine of a plugin, such as Ray, and write one file.

    The result is that of :func:`bigan_cli.workflows.score.score_files`. Parts that exist are not
    scored again, so a call that was stopped is repeated. The model, the inputs and the folder of
    *output* must be where every machine reaches them by the same path or URL.

    Args:
        inputs: As of ``score_files``.
        engine: Its name.
        output: The file to write, or its URL.
        run: The run directory.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        address: Where the cluster is; None for this machine.
        workers: How many processes score at a time.
        part_size: Inputs in a part; an archive is a part of its own.
        settings: How images are scored and labelled; the device ``cuda`` takes one GPU for each
            process.
        recursive: Whether folders are searched recursively.
        callbacks: Receive notes and progress.

    Raises:
        UsageError: Arguments contradict each other, or parts are of another model or threshold.
        PluginError: There is no such engine, or it fails.
        DataError: There are no images, or a part is missing at the end.
    """
    callbacks = callbacks or Callbacks()
    settings = settings or ScorerSettings()
    target = _absolute(locate(output))
    check_table_name(target)
    spread = make_engine(load_registry(settings.plugins), engine)
    source = find_model(run, checkpoint)
    parts = ScoreParts(target)
    found = find_sources(_absolute_inputs(inputs), recursive)
    with written_here(parts.inputs) as file, atomic_write(file) as stream:
        cut = cut_into_parts(found, part_size)
        digests = [part.digest for part in write_part_list(stream, cut)]
        if not digests:
            raise no_images(inputs, recursive=recursive)
        parts.finish(digests)
    make_worker = MakeWorker(source.file.absolute(), settings, target)
    cluster = Cluster(address, workers, int(settings.device.startswith("cuda")))
    with plugin_faults(spread, "run()"):
        for done, _ in enumerate(spread.run(make_worker, range(len(digests)), cluster), 1):
            callbacks.on_progress("scoring parts", done, len(digests))
    return merge_parts(target)


def _absolute(location: Location) -> Location:
    return location.absolute() if isinstance(location, Path) else location


def _absolute_inputs(inputs: Iterable[Input]) -> Iterable[Input]:
    """Return *inputs* as they are, of which none may be relative: workers have other folders."""
    for given in inputs:
        location = locate(given)
        if isinstance(location, Path) and not location.is_absolute():
            raise UsageError(
                f"{location} is a relative path, which means another file on another machine",
                "an engine needs absolute paths and URLs",
            )
        yield location
