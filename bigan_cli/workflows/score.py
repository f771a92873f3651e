"""What ``bigan score`` does: find, decode, score and write, all at once and in order."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from bigan_cli.cli.terminal import Terminal
from bigan_cli.contracts import ImageShape
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.stream import DecodedImage, find_inputs, map_batches, paths_from
from bigan_cli.errors import DataError, GateFailed, SomeInputsSkipped
from bigan_cli.formatting import count, one_line
from bigan_cli.image_files import IMAGE_SUFFIXES
from bigan_cli.storage.partial_output import (
    Earlier,
    Stamp,
    alone,
    is_unfinished,
    model_digest,
    partial_output,
    partial_path,
    take_up,
)
from bigan_cli.storage.score_rows import (
    ANOMALY,
    NORMAL,
    Row,
    file_format,
    nothing_read,
    path_text,
    printer,
    stdout_format,
    whole_output,
)
from bigan_cli.workflows.models import (
    Model,
    cpu_workers,
    find_model,
    load_model,
    progress_bar,
    set_batch_size,
)
from bigan_cli.workflows.score_request import STDIN, Request, check

_COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}
# More warnings than this about single files help nobody; the rows tell of all of them.
_WARNINGS = 20


@dataclass
class Tally:
    """What has been seen so far."""

    scored: int = 0
    skipped: int = 0
    anomalies: int = 0
    changes: Counter[str] = field(default_factory=Counter)


def score(terminal: Terminal, request: Request) -> None:
    """Score what *request* names.

    Raises:
        UsageError: Options contradict each other, or there is no such run.
        DataError: There are no images, or none can be read, or too few normals for the rate.
        GateFailed: There are anomalies, and that was to be a failure.
        SomeInputsSkipped: All is done, but some inputs could not be read.
    """
    check(request)
    source = find_model(request.run, request.checkpoint)
    inputs = _inputs(request)
    model = load_model(terminal, source.file, request.device, request.plugins)
    set_batch_size(model, request.batch_size)
    threshold, meaning = _threshold(model, request)
    names = model.detector.component_names
    stamp = Stamp(model_digest(source.file), threshold, names)
    tally = Tally()
    try:
        with ExitStack() as stack:
            if request.output is not None:
                stack.enter_context(alone(request.output))
            earlier = _earlier(terminal, request, stamp)
            tally.scored, tally.anomalies = earlier.scored, earlier.anomalies
            new = _not_taken(inputs, earlier)
            options = DecodeOptions.of(model.header.config.data, request.max_megapixels)
            rows = _rows(terminal, model, new, threshold, tally, options, strict=request.strict)
            if request.sort:
                rows = _sorted(rows)
            writers = _writers(terminal, request, stamp, stack)
            for batch in rows:
                for write in writers:
                    write(batch)
            if not tally.scored and not tally.skipped:
                raise _no_images(request)
            if earlier.untaken:
                terminal.warn(
                    f"{count(earlier.untaken, 'row')} of {request.output} are of inputs that "
                    "this command does not name"
                )
    except KeyboardInterrupt:
        if request.output is not None and is_unfinished(request.output):
            terminal.note(f"{partial_path(request.output)} holds what is done: see --resume")
        raise
    if request.output is not None and not request.as_json:
        terminal.result(str(request.output))
    _summarise(terminal, tally, meaning, earlier.scored)
    _verdict(request, tally)


def _inputs(request: Request) -> Iterator[Path | DecodedImage]:
    """Return the inputs, having made sure that there are some where that can be known."""

    def named() -> Iterator[Path]:
        for path in request.paths:
            if path == STDIN:
                yield from paths_from(sys.stdin.fileno(), b"\0" if request.null else b"\n")
            else:
                yield Path(path)

    inputs = find_inputs(named(), request.recursive)
    if STDIN in request.paths:
        return inputs
    # A look at the first one, so that an empty folder is told before torch is loaded.
    first = next(inputs, None)
    if first is None:
        raise _no_images(request)
    return chain([first], inputs)


def _no_images(request: Request) -> DataError:
    if STDIN in request.paths and len(request.paths) == 1:
        return DataError("no paths on standard input")
    where = ", ".join(request.paths)
    hint = "" if request.recursive else "folders below were left out by --no-recursive"
    return DataError(f"no images under {where} (looked for {' '.join(IMAGE_SUFFIXES)})", hint)


def _threshold(model: Model, request: Request) -> tuple[float, str]:
    """Return the score above which an image is an anomaly, and how that came about."""
    if request.threshold is not None:
        return request.threshold, f"score above {request.threshold:g}"
    detector = model.detector
    fpr = detector.default_fpr if request.fpr is None else request.fpr
    threshold = detector.calibration.threshold(fpr)
    return threshold, f"score above {threshold:.4g}, for a false-positive rate of {fpr:g}"


def _earlier(terminal: Terminal, request: Request, stamp: Stamp) -> Earlier:
    """Return what an output that was not finished holds, ready to be gone on with."""
    output = request.output
    if output is None or not request.resume:
        return Earlier()
    if not is_unfinished(output):
        replaced = f"; {output} will be replaced" if output.exists() else ""
        terminal.note(
            f"no {partial_path(output)} to resume: starting with the first input{replaced}"
        )
        return Earlier()
    earlier = take_up(output, stamp, file_format(output, stamp.components))
    terminal.note(f"resuming after {count(earlier.scored, 'row')} in {partial_path(output)}")
    return earlier


def _not_taken(
    inputs: Iterable[Path | DecodedImage], earlier: Earlier
) -> Iterator[Path | DecodedImage]:
    """Return the inputs that have no row yet."""
    return (
        item
        for item in inputs
        if isinstance(item, DecodedImage) or not earlier.take(path_text(item))
    )


def _writers(
    terminal: Terminal, request: Request, stamp: Stamp, stack: ExitStack
) -> list[Callable[[Sequence[Row]], object]]:
    """Return what takes each batch of rows; the files among them are finished by *stack*."""
    writers: list[Callable[[Sequence[Row]], object]] = []
    output = request.output
    shown = stdout_format(terminal, stamp.components, output, as_json=request.as_json)
    if shown is not None:
        writers.append(printer(terminal, shown))
    if output is not None:
        kind = file_format(output, stamp.components)
        resumed = request.resume and is_unfinished(output)
        emit = stack.enter_context(
            whole_output(output, kind)
            if request.sort
            else partial_output(output, stamp, kind, resumed=resumed)
        )
        writers.append(lambda rows: emit(kind.lines(rows)))
    return writers


def _rows(
    terminal: Terminal,
    model: Model,
    inputs: Iterable[Path | DecodedImage],
    threshold: float,
    tally: Tally,
    options: DecodeOptions,
    *,
    strict: bool,
) -> Iterator[list[Row]]:
    """Yield the rows of each batch, in the order of the inputs, and count them."""
    detector = model.detector
    on_cpu = model.device.type == "cpu"
    # A GPU does one thing after the other; the CPU has a batch for each of its cores.
    turn = nullcontext() if on_cpu else threading.Lock()

    def work(batch: list[DecodedImage]) -> tuple[list[DecodedImage], list[Row]]:
        with turn:
            scored = _score_batch(model, batch, threshold)
        for read in batch:
            read.pixels = None
        return batch, scored

    results = map_batches(
        inputs,
        detector.shape,
        detector.batch_size,
        work,
        workers=cpu_workers() if on_cpu else 0,
        options=options,
    )
    with progress_bar(terminal, "scoring images") as advance:
        for batch, rows in results:
            for read in batch:
                if read.error:
                    _skip(terminal, read, tally, strict=strict)
                else:
                    tally.changes.update(_changes(read, detector.shape))
            tally.scored += sum(row.score is not None for row in rows)
            tally.anomalies += sum(row.label == ANOMALY for row in rows)
            yield rows
            advance(tally.scored + tally.skipped, None)


def _sorted(rows: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """Yield all rows at once, when they are asked for: by then the output is known to open."""
    everything = [row for batch in rows for row in batch]
    # What has no score comes last; the sort is stable.
    everything.sort(key=lambda row: -np.inf if row.score is None else row.score, reverse=True)
    yield everything


def _skip(terminal: Terminal, read: DecodedImage, tally: Tally, *, strict: bool) -> None:
    path = one_line(path_text(read.path))
    if strict:
        raise DataError(f"cannot read {path}: {read.error}", "--strict ends at the first of these")
    tally.skipped += 1
    if tally.skipped <= _WARNINGS:
        terminal.warn(f"skipped {path}: {read.error}")
    if tally.skipped == _WARNINGS:
        terminal.warn("more skipped inputs are not told of here; each has its row")


def _score_batch(model: Model, batch: Sequence[DecodedImage], threshold: float) -> list[Row]:
    rows = [Row(path_text(read.path), error=read.error) for read in batch]
    readable = [
        (row, read.pixels) for row, read in zip(rows, batch, strict=True) if read.pixels is not None
    ]
    if not readable:
        return rows
    scores = model.detector.score(np.stack([pixels for _, pixels in readable]))
    names = tuple(scores.components)
    columns = [scores.score, scores.p_value, *scores.components.values()]
    for (row, _), (value, p_value, *parts) in zip(
        readable, np.stack(columns, axis=1).tolist(), strict=True
    ):
        row.score = value
        row.p_value = p_value
        row.label = ANOMALY if value > threshold else NORMAL
        row.components = dict(zip(names, parts, strict=True))
    return rows


def _changes(read: DecodedImage, shape: ImageShape) -> list[str]:
    """Return how an image was changed to fit the model, in words that can be counted."""
    found = read.found
    if found is None:
        return []
    changes = []
    if found.channels != shape.channels:
        changes.append(f"converted from {_COLOURS[found.channels]} to {_COLOURS[shape.channels]}")
    if (found.height, found.width) != (shape.height, shape.width):
        changes.append(f"resized to {shape.height}x{shape.width}")
    return [*changes, *found.remarks]


# Reporting


def _summarise(terminal: Terminal, tally: Tally, meaning: str, earlier: int) -> None:
    if tally.changes:
        changes = ", ".join(f"{number:,} {change}" for change, number in tally.changes.items())
        terminal.note(f"note: of {count(tally.scored - earlier, 'image')}, {changes}")
    before = f" ({earlier:,} before)" if earlier else ""
    terminal.note(
        f"scored {tally.scored:,}{before}, skipped {tally.skipped:,}, "
        f"anomalies {tally.anomalies:,} ({meaning})"
    )


def _verdict(request: Request, tally: Tally) -> None:
    """End with the exit code that fits: an anomaly found weighs more than an input skipped."""
    if not tally.scored:
        raise DataError(nothing_read(tally.skipped))
    if request.fail_on_anomaly and tally.anomalies:
        raise GateFailed(
            f"{count(tally.anomalies, 'anomaly', 'anomalies')} in "
            f"{count(tally.scored, 'image')} (--fail-on-anomaly)"
        )
    if tally.skipped:
        total = tally.scored + tally.skipped
        raise SomeInputsSkipped(f"{tally.skipped:,} of {count(total, 'input')} could not be read")
