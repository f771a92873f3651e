"""What ``bigan reconstruct`` does: images beside what the networks make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.cli.terminal import Terminal
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.stream import decode_ahead, find_inputs
from bigan_cli.errors import DataError, RunDirectoryError, SomeInputsSkipped, UsageError
from bigan_cli.formatting import count
from bigan_cli.image_files import IMAGE_SUFFIXES
from bigan_cli.report.grids import comparison_grid, score_caption
from bigan_cli.storage.score_rows import nothing_read, path_text
from bigan_cli.workflows.models import Model, Source, find_model, load_model, open_test


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        paths: Image files and folders; the run's test images where empty.
        run: The run directory.
        checkpoint: Which model of it, or a model file.
        device: Name of the device.
        plugins: Plugin files to load.
        number: How many images to show at most.
        seed: Chooses the test images.
        data_root: Where the run's data lie, or None for where they lay.
        output: The picture to write, or None for the run's own place.
        overwrite: Whether *output* may be there already.
        as_json: Whether standard output gets JSON.
    """

    paths: Sequence[str]
    run: Path
    checkpoint: str
    device: str
    plugins: Sequence[Path]
    number: int
    seed: int
    data_root: Path | None
    output: Path | None
    overwrite: bool
    as_json: bool


@dataclass(frozen=True)
class Chosen:
    """The images to show.

    Attributes:
        pixels: uint8 ``[N, C, H, W]``.
        names: What they are called.
        captions: What is said of each in the picture, beside its score.
        outlier: Which are anomalies, where that is known.
        skipped: How many more could not be read.
    """

    pixels: NDArray[np.uint8]
    names: Sequence[str]
    captions: Sequence[str]
    outlier: Sequence[bool] | None = None
    skipped: int = 0


def reconstruct(terminal: Terminal, request: Request) -> None:
    """Draw what *request* names.

    Raises:
        UsageError: There is no such run, or the picture exists.
        DataError: There is no image to show.
        SomeInputsSkipped: The picture is there, but some inputs could not be read.
    """
    source = find_model(request.run, request.checkpoint)
    output = _output(request, source)
    model = load_model(terminal, source.file, request.device, request.plugins)
    if request.paths:
        chosen = _from_files(terminal, model, request)
    else:
        chosen = _from_test(terminal, model, source, request)
    epoch = model.detector.members[0].origin.epoch  # it is the first one's pictures
    scores = model.detector.score(chosen.pixels)
    comparison_grid(
        output,
        chosen.pixels,
        model.detector.reconstruct(chosen.pixels),
        heading="untrained" if epoch == 0 else f"epoch {epoch}",
        captions=[
            f"{caption}\n{score_caption(score, p_value)}"
            for caption, score, p_value in zip(
                chosen.captions, scores.score, scores.p_value, strict=True
            )
        ],
    )
    if request.as_json:
        terminal.json(
            {
                "path": output,
                "model": source.file,
                "epoch": epoch,
                "images": list(chosen.names),
                "outlier": chosen.outlier,
                "scores": scores.score.tolist(),
                "p_values": scores.p_value.tolist(),
            }
        )
    else:
        terminal.result(str(output))
    terminal.note(f"{count(len(chosen.pixels), 'image')} by {source.file}")
    if chosen.skipped:
        raise SomeInputsSkipped(f"{count(chosen.skipped, 'input')} could not be read")


def _output(request: Request, source: Source) -> Path:
    """Return where the picture goes, having made sure that it may."""
    output = request.output
    if output is None:
        if source.run is None:
            raise UsageError(
                f"no run in {request.run} to put the picture in", "pass --output FILE.png"
            )
        return source.run.reconstruct_file
    if output.suffix.lower() != ".png":
        raise UsageError(f"--output {output} is not a .png")
    if output.is_dir() or (output.exists() and not request.overwrite):
        hint = "" if output.is_dir() else "--overwrite replaces it"
        raise UsageError(f"{output} exists", hint)
    return output


def _from_files(terminal: Terminal, model: Model, request: Request) -> Chosen:
    """Return the first images that *request* names and that can be read."""
    pixels: list[NDArray[np.uint8]] = []
    names: list[str] = []
    skipped = 0
    inputs = find_inputs(map(Path, request.paths))
    options = DecodeOptions.of(model.header.config.data)
    for batch in decode_ahead(inputs, model.detector.shape, request.number, options=options):
        for read in batch:
            if len(pixels) == request.number:
                continue
            if read.pixels is None:
                skipped += 1
                terminal.warn(f"skipped {path_text(read.path)}: {read.error}")
            else:
                pixels.append(read.pixels)
                names.append(path_text(read.path))
        if len(pixels) == request.number:
            break
    if not pixels:
        where = ", ".join(request.paths)
        if skipped:
            raise DataError(nothing_read(skipped))
        raise DataError(f"no images under {where} (looked for {' '.join(IMAGE_SUFFIXES)})")
    return Chosen(np.stack(pixels), names, [Path(name).name for name in names], skipped=skipped)


def _from_test(terminal: Terminal, model: Model, source: Source, request: Request) -> Chosen:
    """Return test images drawn by the seed, half of them anomalies as far as there are any."""
    if source.run is None:
        raise RunDirectoryError(
            f"no run in {request.run} (run.json missing)",
            "a model file alone does not know its test images: name some, or pass --run DIR",
        )
    test = open_test(terminal, source.run, model, request.data_root)
    images = test.images
    if not len(images):
        raise DataError("this run has no test images", "name some: bigan reconstruct PATH...")
    taken = images.drawn(request.number, np.random.default_rng(request.seed))
    outlier = taken.outlier.tolist()
    captions = [
        f"{Path(name).name}: {test.class_names[int(label)]}" + (", an anomaly" if anomalous else "")
        for name, label, anomalous in zip(taken.names, taken.labels, outlier, strict=True)
    ]
    return Chosen(taken.pixels, list(taken.names), captions, outlier)
