"""Scoring of image files: find, decode, score and write, concurrently and in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.sources.find import Failed, Found, Input, find_inputs
from bigan_cli.data.sources.image_source import source_name
from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import count
from bigan_cli.image_files import IMAGE_SUFFIXES
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.storage.partial_output import (
    CompletedInputs,
    Header,
    exclusive,
    is_unfinished,
    partial_output,
    partial_path,
)
from bigan_cli.storage.partial_output import resume as resume_output
from bigan_cli.storage.score_table import (
    SUFFIXES,
    ScoreRow,
    file_format,
    score_table,
)
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.map_files import map_files
from bigan_cli.workflows.models import LoadedModel, find_model, load_model, set_batch_size
from bigan_cli.workflows.reports.facts import check_report_file
from bigan_cli.workflows.reports.scored_files import ReportedRows
from bigan_cli.workflows.score_arrangement import Arrangement
from bigan_cli.workflows.score_batches import Counts, Rule, StoppedError, score_batches

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
        report: The HTML report that was written, or None.
    """

    status: str
    model: Path
    model_sha256: str
    threshold: float
    fpr: float | None
    output: Path | None
    scored: int
    resumed: int
    skipped: int
    not_finite: int
    anomalies: int
    reviews: int
    fdr: float | None
    conversions: Mapping[str, int]
    report: Path | None = None


def score_files(
    inputs: Iterable[Input],
    *,
    run: Path,
    checkpoint: str = "best",
    device: str = "auto",
    plugins: Sequence[Path] = (),
    batch_size: int | None = None,
    fpr: float | None = None,
    threshold: float | None = None,
    review_fpr: float | None = None,
    fdr: float | None = None,
    max_megapixels: int | None = None,
    recursive: bool = True,
    strict: bool = False,
    output: Path | None = None,
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
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run; those that the model names are not run otherwise.
        batch_size: Images per forward pass; by default the model's own on a CPU, and 16 times
            that on a GPU.
        fpr: The false-positive rate of the threshold; by default the run's.
        threshold: Label images above this score anomalous, in place of *fpr*.
        review_fpr: Label other images for a review that are anomalous at this larger rate.
        fdr: Label the images by the Benjamini-Hochberg procedure, in place of *fpr*: of those
            labelled anomalous, at most this share is normal on average. Keeps all rows in memory.
        max_megapixels: Images of more million pixels are not read; by default the run's limit.
        recursive: Whether folders are searched recursively.
        strict: Whether an unreadable input is an error.
        output: A .csv or .jsonl file to write the rows to; replaced where it exists.
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
        UsageError: Arguments contradict each other, or there is no such run.
        DataError: There are no images, *strict* and an input cannot be read, or there are too
            few calibration images for *fpr*.
    """
    callbacks = callbacks or Callbacks()
    _check_rule(fpr, threshold, review_fpr, fdr)
    arrangement = Arrangement(sort, top, fdr)
    _check_output(output, resume=resume, whole=arrangement.of_all_rows)
    _check_report(report, resume=resume)
    files = map_files(inputs, maps, map_format, masks)
    source = find_model(run, checkpoint)
    found = _find(inputs, recursive=recursive)
    model = load_model(source.file, device, plugins, callbacks)
    set_batch_size(model, batch_size)
    rule = Rule.of(model.detector, fpr, threshold, review_fpr)
    names = model.detector.component_names
    if files is not None:
        _check_heatmaps(model)
        files.create_folders()
    written = {} if files is None else files.as_dict()
    header = Header(model.header.sha256, rule.limit, names, written, rule.review_limit)
    counts, status, reported = Counts(), "done", ReportedRows(wanted=report is not None)
    with nullcontext() if output is None else exclusive(output):
        earlier = CompletedInputs()
        if output is not None and resume:
            earlier = _resume(output, header, callbacks)
        counts.scored, counts.anomalies = earlier.scored, earlier.anomalies
        new = _without(earlier, found)
        options = DecodeOptions.of(model.header.config.data, max_megapixels)
        batches: Iterable[list[ScoreRow]] = score_batches(
            model, new, rule, options, files, counts, callbacks, strict=strict
        )
        try:
            with _writer(output, header, whole=arrangement.of_all_rows, resume=resume) as write:
                rule, batches = arrangement.apply(batches, rule, model.detector, counts, callbacks)
                for rows in batches:
                    if on_rows is not None:
                        on_rows(names, rows)
                    write(rows)
                    reported.add(rows)
                if not counts.scored and not counts.skipped:
                    raise _no_images(inputs, recursive=recursive)
        except StoppedError:
            status = "interrupted"
    if report is not None and status == "done":
        reported.write(report, source.run, source.file, model, rule, options, callbacks)
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
        output=output,
        scored=counts.scored,
        resumed=earlier.scored,
        skipped=counts.skipped,
        not_finite=counts.not_finite,
        anomalies=counts.anomalies,
        reviews=counts.reviews,
        fdr=fdr,
        conversions=dict(counts.conversions),
        report=report if status == "done" and counts.scored else None,
    )


# Arguments


def _check_rule(
    fpr: float | None, threshold: float | None, review_fpr: float | None, fdr: float | None
) -> None:
    if fpr is not None and threshold is not None:
        raise UsageError("'score.fpr' and a threshold exclude each other", "each decides the label")
    if fdr is not None and not all(each is None for each in (fpr, threshold, review_fpr)):
        raise UsageError(
            "a false discovery rate excludes 'score.fpr', a rate for a review and a threshold",
            "each decides the label",
        )
    if fdr is not None and not 0 < fdr < 1:
        raise UsageError(f"'fdr={fdr:g}' is not between 0 and 1")
    for rate in (fpr, review_fpr):
        if rate is not None:
            check_fpr(rate)
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(f"'threshold={threshold}' is not a finite number")


def _check_output(output: Path | None, *, resume: bool, whole: bool) -> None:
    if output is None:
        if resume:
            raise UsageError("there is no output to resume", "pass 'output=FILE' too")
        return
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "the output is a file")
    if output.exists() and not output.is_file():
        raise UsageError(f"{output} is not a regular file", "without 'output' rows are printed")
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output} is neither .csv nor .jsonl")
    if resume and whole:
        raise UsageError(
            "an output that is sorted or labelled as a whole cannot be resumed",
            "its rows are written when all are known",
        )
    if not resume and not whole and is_unfinished(output):
        with exclusive(output):  # or another process is still writing these rows
            raise UsageError(
                f"{partial_path(output)} holds the rows of a run that was stopped",
                "'resume=True' continues it; delete it to start over",
            )


def _check_report(report: Path | None, *, resume: bool) -> None:
    if report is None:
        return
    check_report_file(report)
    if resume:
        raise UsageError(
            "a resumed scoring has no report", "it would lack the images that were scored before"
        )


def _check_heatmaps(model: LoadedModel) -> None:
    if not model.detector.has_heatmaps:
        raise UsageError(
            "no score component of this model has heatmaps",
            "train with one that has, such as reconstruction, or leave out maps and masks",
        )


# Inputs


def _find(inputs: Iterable[Input], *, recursive: bool) -> Iterator[Found]:
    """Return the images of *inputs*; an error now if these are known and there are none."""
    found = find_inputs(inputs, recursive)
    if not isinstance(inputs, Sequence):
        return found
    # Before torch is loaded.
    first = next(found, None)
    if first is None:
        raise _no_images(inputs, recursive=recursive)
    return chain([first], found)


def _no_images(inputs: Iterable[Input], *, recursive: bool) -> DataError:
    where = "among the inputs"
    if isinstance(inputs, Sequence):
        where = f"under {', '.join(map(str, inputs))}"
    hint = "" if recursive else "subfolders were not searched"
    return DataError(f"no images {where} (looked for {' '.join(IMAGE_SUFFIXES)})", hint)


def _without(earlier: CompletedInputs, inputs: Iterable[Found]) -> Iterator[Found]:
    """Return the inputs that have no row yet."""
    return (
        item for item in inputs if isinstance(item, Failed) or not earlier.claim(source_name(item))
    )


# Output


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
