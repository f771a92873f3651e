"""What was asked of ``bigan score``, and whether it can be done."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bigan_cli.errors import UsageError
from bigan_cli.storage.partial_output import alone, is_unfinished, partial_path

STDIN = "-"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        paths: Files, folders, and ``-`` for a list on standard input.
        run: The run directory.
        checkpoint: Which model of it, or a model file.
        device: Name of the device.
        plugins: Plugin files to load.
        batch_size: Images a forward pass, or None for the model's own.
        fpr: The false-positive rate, or None for the run's.
        max_megapixels: The limit of an image's size, or None for the run's.
        threshold: The score above which an image is an anomaly, instead of *fpr*.
        recursive: Whether folders are searched all the way down.
        null: Whether the list on standard input is separated by NUL.
        output: The file to write, or None for standard output.
        resume: Whether to go on with an output that was not finished.
        sort: Whether the most anomalous image comes first.
        strict: Whether the first unreadable input ends it all.
        fail_on_anomaly: Whether an anomaly is a failure.
        as_json: Whether standard output gets JSON lines.
    """

    paths: Sequence[str]
    run: Path
    checkpoint: str
    device: str
    plugins: Sequence[Path]
    batch_size: int | None
    fpr: float | None
    threshold: float | None
    recursive: bool
    null: bool
    output: Path | None
    resume: bool
    sort: bool
    strict: bool
    fail_on_anomaly: bool
    as_json: bool
    max_megapixels: int | None = None


def check(request: Request) -> None:
    """Refuse what cannot work, before anything heavy is loaded.

    Raises:
        UsageError: Says which options contradict each other, or which value is wrong.
    """
    if request.fpr is not None and request.threshold is not None:
        raise UsageError("--fpr and --threshold exclude each other", "each decides the label")
    if request.fpr is not None and not 0 < request.fpr < 1:
        raise UsageError(f"--fpr {request.fpr:g} does not lie between 0 and 1")
    if request.threshold is not None and not math.isfinite(request.threshold):
        raise UsageError(f"--threshold {request.threshold} is not a number to compare with")
    if request.null and STDIN not in request.paths:
        raise UsageError("--null is about the list on standard input", "pass - to read one")
    if STDIN in request.paths and sys.stdin is None:
        raise UsageError("standard input is closed", "name the images, or hand over a list for -")
    if request.paths.count(STDIN) > 1:
        raise UsageError("standard input can be read only once")
    if request.output is not None:
        _check_output(request, request.output)
    elif request.resume:
        raise UsageError("--resume goes on with an output that was not finished: pass --output too")


def _check_output(request: Request, output: Path) -> None:
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder, not a file")
    if output.suffix.lower() not in (".csv", ".jsonl"):
        raise UsageError(f"--output {output} is neither .csv nor .jsonl")
    if request.resume and request.sort:
        raise UsageError(
            "--resume and --sort exclude each other", "sorted rows are written when all are known"
        )
    if not request.resume and not request.sort and is_unfinished(output):
        with alone(output):  # or they are those of a process that still writes
            raise UsageError(
                f"{partial_path(output)} holds rows of a run that was stopped",
                "--resume goes on with it; delete it to start anew",
            )
