"""What ``bigan score`` does: find, decode, score and write, all at once and in order."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bigan_cli.commands._model import Model, find_model, load_model, progress_bar
from bigan_cli.commands._rows import ANOMALY, NORMAL, Row, nothing_read, path_text, row_writers
from bigan_cli.console import Terminal, count
from bigan_cli.contracts import ImageShape
from bigan_cli.data.discover import IMAGE_SUFFIXES
from bigan_cli.data.stream import Read, decode_ahead, find_inputs, paths_from
from bigan_cli.errors import DataError, GateFailed, SomeInputsSkipped, UsageError

STDIN = "-"
_COLOURS = {1: "grey", 3: "RGB", 4: "RGBA"}
# More warnings than this about single files help nobody; the rows tell of all of them.
_WARNINGS = 20


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        paths: Files, folders, and ``-`` for a list on standard input.
        run: The run directory.
        checkpoint: Which model of it, or a model file.
        device: Name of the device.
        fpr: The false-positive rate, or None for the run's.
        threshold: The score above which an image is an anomaly, instead of *fpr*.
        recursive: Whether folders are searched all the way down.
        null: Whether the list on standard input is separated by NUL.
        output: The file to write, or None for standard output.
        sort: Whether the most anomalous image comes first.
        strict: Whether the first unreadable input ends it all.
        fail_on_anomaly: Whether an anomaly is a failure.
        as_json: Whether standard output gets JSON lines.
    """

    paths: Sequence[str]
    run: Path
    checkpoint: str
    device: str
    fpr: float | None
    threshold: float | None
    recursive: bool
    null: bool
    output: Path | None
    sort: bool
    strict: bool
    fail_on_anomaly: bool
    as_json: bool


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
    _check(request)
    source = find_model(request.run, request.checkpoint)
    inputs = _inputs(request)
    model = load_model(terminal, source.file, request.device)
    threshold, meaning = _threshold(model, request)
    tally = Tally()
    rows = _rows(terminal, model, inputs, threshold, tally, strict=request.strict)
    if request.sort:
        everything = [row for batch in rows for row in batch]
        # What has no score comes last; the sort is stable.
        everything.sort(key=lambda row: -np.inf if row.score is None else row.score, reverse=True)
        rows = iter([everything])
    names = model.detector.component_names
    with row_writers(terminal, names, request.output, as_json=request.as_json) as write:
        for batch in rows:
            write(batch)
        if not tally.scored and not tally.skipped:
            raise _no_images(request)
    if request.output is not None and not request.as_json:
        terminal.result(str(request.output))
    _summarise(terminal, tally, meaning)
    _verdict(request, tally)


def _check(request: Request) -> None:
    """Refuse what cannot work before anything heavy is loaded."""
    if request.fpr is not None and request.threshold is not None:
        raise UsageError("--fpr and --threshold exclude each other", "each decides the label")
    if request.fpr is not None and not 0 < request.fpr < 1:
        raise UsageError(f"--fpr {request.fpr:g} does not lie between 0 and 1")
    if request.threshold is not None and not np.isfinite(request.threshold):
        raise UsageError(f"--threshold {request.threshold} is not a number to compare with")
    if request.null and STDIN not in request.paths:
        raise UsageError("--null is about the list on standard input", "pass - to read one")
    if request.paths.count(STDIN) > 1:
        raise UsageError("standard input can be read only once")
    output = request.output
    if output is not None and output.is_dir():
        raise UsageError(f"--output {output} is a folder, not a file")
    if output is not None and output.suffix.lower() not in (".csv", ".jsonl"):
        raise UsageError(f"--output {output} is neither .csv nor .jsonl")
    if output is not None and output.is_dir():
        raise UsageError(f"--output {output} is a folder")


def _inputs(request: Request) -> Iterator[Path | Read]:
    """Return the inputs, having made sure that there are some where that can be known."""

    def named() -> Iterator[Path]:
        for path in request.paths:
            if path == STDIN:
                yield from paths_from(sys.stdin.fileno(), b"\0" if request.null else b"\n")
            else:
                yield Path(path)

    if STDIN not in request.paths:
        # A look at the first one, so that an empty folder is told before torch is loaded.
        look = find_inputs(map(Path, request.paths), request.recursive)
        if next(look, None) is None:
            raise _no_images(request)
    return find_inputs(named(), request.recursive)


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


def _rows(
    terminal: Terminal,
    model: Model,
    inputs: Iterable[Path | Read],
    threshold: float,
    tally: Tally,
    *,
    strict: bool,
) -> Iterator[list[Row]]:
    """Yield the rows of each batch, in the order of the inputs, and count them."""
    detector = model.detector
    with progress_bar(terminal, "scoring images") as advance:
        for batch in decode_ahead(inputs, detector.shape, detector.batch_size):
            for read in batch:
                if read.error:
                    _skip(terminal, read, tally, strict=strict)
                else:
                    tally.changes.update(_changes(read, detector.shape))
            rows = _score_batch(model, batch, threshold)
            tally.scored += sum(row.score is not None for row in rows)
            tally.anomalies += sum(row.label == ANOMALY for row in rows)
            yield rows
            advance(tally.scored + tally.skipped, None)


def _skip(terminal: Terminal, read: Read, tally: Tally, *, strict: bool) -> None:
    path = path_text(read.path)
    if strict:
        raise DataError(f"cannot read {path}: {read.error}", "--strict ends at the first of these")
    tally.skipped += 1
    if tally.skipped <= _WARNINGS:
        terminal.warn(f"skipped {path}: {read.error}")
    if tally.skipped == _WARNINGS:
        terminal.warn("more skipped inputs are not told of here; each has its row")


def _score_batch(model: Model, batch: Sequence[Read], threshold: float) -> list[Row]:
    images = [read.pixels for read in batch if read.pixels is not None]
    shape = model.detector.shape
    full = (len(images), shape.channels, shape.height, shape.width)
    scores = model.detector.score(np.stack(images) if images else np.empty(full, np.uint8))
    rows, i = [], 0
    for read in batch:
        if read.pixels is None:
            rows.append(Row(path_text(read.path), error=read.error))
            continue
        value = float(scores.score[i])
        rows.append(
            Row(
                path_text(read.path),
                value,
                float(scores.p_value[i]),
                ANOMALY if value > threshold else NORMAL,
                {name: float(values[i]) for name, values in scores.components.items()},
            )
        )
        i += 1
    return rows


def _changes(read: Read, shape: ImageShape) -> list[str]:
    """Return how an image was changed to fit the model, in words that can be counted."""
    found = read.found
    if found is None:
        return []
    changes = []
    if found.channels != shape.channels:
        changes.append(f"converted from {_COLOURS[found.channels]} to {_COLOURS[shape.channels]}")
    if (found.height, found.width) != (shape.height, shape.width):
        changes.append(f"resized to {shape.height}x{shape.width}")
    return changes


# Reporting


def _summarise(terminal: Terminal, tally: Tally, meaning: str) -> None:
    if tally.changes:
        changes = ", ".join(f"{number:,} {change}" for change, number in tally.changes.items())
        terminal.note(f"note: of {count(tally.scored, 'image')}, {changes}")
    terminal.note(
        f"scored {tally.scored:,}, skipped {tally.skipped:,}, "
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
