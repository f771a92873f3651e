"""Scoring of image files: find, decode, score and write, concurrently and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.data.sources.find import Input
from bigan_cli.data.sources.image_source import Failed, Found, source_name
from bigan_cli.formatting import count
from bigan_cli.locations.location import Location, locate
from bigan_cli.storage.completed_inputs import CompletedInputs
from bigan_cli.storage.partial_output import (
    Header,
    exclusive,
    is_unfinished,
    partial_output,
    partial_path,
)
from bigan_cli.storage.partial_output import resume as resume_output
from bigan_cli.storage.remote_output import written_here
from bigan_cli.storage.score_table import ScoreRow, file_format, score_table
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.map_files import map_files
from bigan_cli.workflows.models import find_model
from bigan_cli.workflows.reports.scored_files import ReportedRows
from bigan_cli.workflows.score_arguments import check_fdr, check_output, check_report
from bigan_cli.workflows.score_arrangement import Arrangement
from bigan_cli.workflows.score_batches import Counts, StoppedError
from bigan_cli.workflows.score_inputs import find_given, no_images
from bigan_cli.workflows.scorer import Scorer, ScorerSettings

OnRows = Callable[[Sequence[str], Sequence[ScoreRow]], object]
"""Receives the names of the components, and the rows of one batch."""


@dataclass(frozen=True)
class ScoreResult:
    """The outcome of scoring.

    Attributes:
        status: ``done``, or ``interrupted`` where ``should_stop`` ended it early.
        model: The model file.
        model_sha256: Its checksum.
        threshold: An image is anomalous if its score exceeds this.
        fpr: The false-positive rate of the threshold; None if the threshold itself was given.
        output: The file that was written, or None.
        scored: How many images have a score, those of an earlier call included.
        resumed: How many of them an earlier call had scored.
        skipped: How many inputs could not be read or scored; each has a row.
        not_finite: How many of them have a score that is not finite, which no image should have.
        anomalies: How many images are labelled anomalous.
        reviews: How many are labelled for a review, of those scored now.
        fdr: The false discovery rate that the labels control, or None.
        conversions: Description of a conversion to the model's shape -> how many images.
        calibration_images: How many normal images the p-values compare with.
        smallest_p_value: The smallest that so many allow.
        report: The HTML report that was written, or None.
    """

    status: str
    model: Path
    model_sha256: str
    threshold: float
    fpr: float | None
    output: Location | None
    scored: int
    resumed: int
    skipped: int
    not_finite: int
    anomalies: int
    reviews: int
    fdr: float | None
    conversions: Mapping[str, int]
    calibration_images: int
    smallest_p_value: float
    report: Path | None = None


def score_files(
    inputs: Iterable[Input],
    *,
    run: Path,
    checkpoint: str = "best",
    settings: ScorerSettings | None = None,
    fdr: float | None = None,
    recursive: bool = True,
    output: str | Location | None = None,
    resume: bool = False,
    sort: bool = False,
    top: int | None = None,
    maps: Path | None = None,
    map_format: str | None = None,
    masks: Path | None = None,
    report: Path | None = None,
    on_rows: OnRows | None = None,
    callbacks: Callbacks | None = None,
) -> ScoreResult:
    """Score image files and the images in folders.

    Args:
        inputs: Files, folders, lists, archives and their URLs; see :func:`find_inputs`. An
            iterator is consumed as the work proceeds.
        run: The run directory.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        settings: How they are scored and labelled.
        fdr: Label the images by the Benjamini-Hochberg procedure, in place of *fpr*: of those
            labelled anomalous, at most this share is normal on average. Keeps all rows in memory.
        recursive: Whether folders are searched recursively.
        output: A .csv, .jsonl or .parquet file to write the rows to, or its URL; replaced where
            it exists. One behind a URL is uploaded at the end.
        resume: Whether to continue an *output* that was stopped before its end.
        sort: Whether the most anomalous image comes first; keeps all rows in memory.
        top: Give the rows of this many most anomalous images only, the most anomalous first.
        maps: A folder to write a heatmap of each image to; see :class:`MapFiles`.
        map_format: ``overlay`` (the default), ``png16`` or ``npy``.
        masks: A folder to write a mask of the anomalous pixels of each image to.
        report: An HTML file to write about the images; keeps their rows in memory.
        on_rows: Called with the rows of each batch, in the order of the inputs.
        callbacks: Receive notes, warnings and progress.

    Raises:
        UsageError: Arguments contradict each other, there is no such run or none of *inputs*
            exists, or there are too few calibration images for *fpr*.
        DataError: There are no images, or an input cannot be read (if strict).
    """
    callbacks = callbacks or Callbacks()
    settings = settings or ScorerSettings()
    check_fdr(fdr, settings)
    arrangement = Arrangement(sort, top, fdr)
    target = None if output is None else locate(output)
    check_output(target, resume=resume, whole=arrangement.of_all_rows)
    check_report(report, resume=resume)
    files = map_files(inputs, maps, map_format, masks)
    source = find_model(run, checkpoint)
    found = find_given(inputs, recursive=recursive)
    scorer = Scorer.load(source, settings, files, callbacks)
    model, rule, header = scorer.model, scorer.rule, scorer.header
    counts, status, reported = Counts(), "done", ReportedRows(wanted=report is not None)
    with _exclusive_file(target) as file:
        earlier = CompletedInputs()
        if file is not None and resume:
            earlier = _resume(file, header, callbacks)
        counts.scored, counts.anomalies = earlier.scored, earlier.anomalies
        new = _without(earlier, found)
        batches: Iterable[list[ScoreRow]] = scorer.rows(new, counts, callbacks)
        try:
            with _writer(file, header, whole=arrangement.of_all_rows, resume=resume) as write:
                rule, batches = arrangement.apply(batches, rule, model.detector, counts, callbacks)
                for rows in batches:
                    if on_rows is not None:
                        on_rows(header.components, rows)
                    write(rows)
                    reported.add(rows)
                if not counts.scored and not counts.skipped:
                    raise no_images(inputs, recursive=recursive)
        except StoppedError:
            status = "interrupted"
    if report is not None and status == "done":
        reported.write(report, source.run, source.file, model, rule, scorer.options, callbacks)
    if earlier.unclaimed and status == "done":
        callbacks.warn(
            f"{count(earlier.unclaimed, 'row')} of {output} are of inputs that were not given now"
        )
    return ScoreResult(
        status=status,
        model=source.file,
        model_sha256=model.header.sha256,
        threshold=rule.limit,
        fpr=rule.fpr,
        output=target,
        scored=counts.scored,
        resumed=earlier.scored,
        skipped=counts.skipped,
        not_finite=counts.not_finite,
        anomalies=counts.anomalies,
        reviews=counts.reviews,
        fdr=fdr,
        conversions=dict(counts.conversions),
        calibration_images=model.detector.calibration.n,
        smallest_p_value=1 / (model.detector.calibration.n + 1),
        report=report if status == "done" and counts.scored else None,
    )


@contextmanager
def _exclusive_file(target: Location | None) -> Iterator[Path | None]:
    """Yield the file to write for *target*, locked against other processes; None for none."""
    if target is None:
        yield None
        return
    with written_here(target) as file, exclusive(file):
        yield file


def _without(earlier: CompletedInputs, inputs: Iterable[Found]) -> Iterator[Found]:
    """Return the inputs that have no row yet."""
    return (
        item for item in inputs if isinstance(item, Failed) or not earlier.claim(source_name(item))
    )


def _resume(output: Path, header: Header, callbacks: Callbacks) -> CompletedInputs:
    partial = partial_path(output)
    if not is_unfinished(output):
        replaced = f"; {output} will be replaced" if output.exists() else ""
        callbacks.note(f"no {partial} to resume: starting with the first input{replaced}")
        return CompletedInputs()
    earlier = resume_output(output, header, file_format(output, header.components))
    callbacks.note(f"resuming after {count(earlier.scored, 'row')} in {partial}")
    return earlier


@contextmanager
def _writer(
    output: Path | None, header: Header, *, whole: bool, resume: bool
) -> Iterator[Callable[[Sequence[ScoreRow]], object]]:
    """Yield a function that writes rows to *output*, which is complete at the end."""
    if output is None:
        yield lambda _rows: None
        return
    row_format = file_format(output, header.components)
    resumed = resume and is_unfinished(output)
    with (
        score_table(output, row_format)
        if whole
        else partial_output(output, header, row_format, resumed=resumed)
    ) as write:
        yield lambda rows: write(row_format.lines(rows))
