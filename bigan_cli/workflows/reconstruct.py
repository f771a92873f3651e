"""Reconstruction of images: a picture of originals, reconstructions and differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.data.decode_pipeline import decode_ahead
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.sources.find import find_inputs
from bigan_cli.errors import DataError, UsageError
from bigan_cli.formatting import none_readable
from bigan_cli.image_files import IMAGE_SUFFIXES
from bigan_cli.report.grids import comparison_grid, score_caption
from bigan_cli.scoring.detector import Scores
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import (
    LoadedModel,
    ModelSource,
    find_model,
    load_model,
    open_test,
    run_of,
)
from bigan_cli.workflows.score_inputs import check_one_exists


@dataclass(frozen=True, eq=False)
class ReconstructionResult:
    """The picture of N images that was written.

    Attributes:
        path: The picture, a PNG file.
        model: The model file.
        epoch: Epochs trained.
        images: Path or name of each image.
        outlier: Whether each image is an anomaly, where that is known.
        scores: The scores of the images.
        skipped: How many inputs could not be read.
        decoded: Whether a decoder draws the reconstructions, which plays no part in the score.
        truncated: Whether there were more images than were to be shown.
    """

    path: Path
    model: Path
    epoch: int
    images: tuple[str, ...]
    outlier: tuple[bool, ...] | None
    scores: Scores
    skipped: int
    truncated: bool
    decoded: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "path": self.path,
            "model": self.model,
            "epoch": self.epoch,
            "images": list(self.images),
            "outlier": None if self.outlier is None else list(self.outlier),
            "scores": self.scores.score.tolist(),
            "p_values": self.scores.p_value.tolist(),
        }


@dataclass
class _Selection:
    """The N images to show; the attributes are as in :class:`ReconstructionResult`."""

    pixels: list[NDArray[np.uint8]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    outlier: list[bool] | None = None
    skipped: int = 0
    truncated: bool = False


def reconstruct(
    paths: Sequence[str | Path] = (),
    *,
    run: Path,
    checkpoint: str = "best",
    device: str = "auto",
    plugins: Sequence[Path] = (),
    number: int = 16,
    seed: int = 0,
    data_root: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
) -> ReconstructionResult:
    """Draw images next to their reconstructions, the differences and the heatmaps.

    Args:
        paths: Image files and folders, of which the first readable images are shown; by default
            test images of the run, half of them anomalies if there are enough.
        run: The run directory.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run; those that the model names are not run otherwise.
        number: How many images to show at most.
        seed: Chooses the test images.
        data_root: Where the run's data are now, if they were moved.
        output: The .png file to write; by default a file of the run, which is replaced.
        overwrite: Whether *output* may be replaced.
        callbacks: Receive notes, warnings and progress.

    Raises:
        UsageError: There is no such run, none of *paths* exists, or *output* exists.
        DataError: There is no image to show.
    """
    callbacks = callbacks or Callbacks()
    source = find_model(run, checkpoint)
    output = _output(output, source, run, overwrite=overwrite)
    _check_no_input(output, paths)
    check_one_exists(paths)
    model = load_model(source.file, device, plugins, callbacks)
    if paths:
        selection = _from_files(model, paths, number, callbacks)
    else:
        selection = _from_test(model, source, run, data_root, number, seed, callbacks)
    pixels = model.detector.filled(np.stack(selection.pixels))
    scores = model.detector.score(pixels, heatmaps=True)
    epoch = model.detector.members[0].provenance.epoch  # reconstructions are the first member's
    comparison_grid(
        output,
        pixels,
        model.detector.reconstruct(pixels),
        heading="untrained" if epoch == 0 else f"epoch {epoch}",
        captions=[
            f"{caption}\n{score_caption(score, p_value)}"
            for caption, score, p_value in zip(
                selection.captions, scores.score, scores.p_value, strict=True
            )
        ],
        heatmaps=scores.heatmaps,
    )
    return ReconstructionResult(
        path=output,
        model=source.file,
        epoch=epoch,
        images=tuple(selection.names),
        outlier=None if selection.outlier is None else tuple(selection.outlier),
        scores=scores,
        skipped=selection.skipped,
        truncated=selection.truncated,
        decoded=model.detector.on_feature_map,
    )


def _output(output: Path | None, source: ModelSource, run: Path, *, overwrite: bool) -> Path:
    """Return the file to write, if it may be written."""
    if output is None:
        if source.run is None:
            raise UsageError(f"no run in {run} to put the picture in", "pass 'output=FILE.png'")
        return source.run.claim(source.run.reconstruct_file)
    if output.suffix.lower() != ".png":
        raise UsageError(f"the output {output} is not a .png")
    if output.is_dir():
        raise UsageError(f"the output {output} is a folder")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists", "'overwrite=True' replaces it")
    return output


def _check_no_input(output: Path, paths: Sequence[str | Path]) -> None:
    """Refuse to replace one of the images to reconstruct."""
    target = output.resolve()
    inputs = [Path(path).resolve() for path in paths]
    if output.exists() and any(target == each or each in target.parents for each in inputs):
        raise UsageError(f"the output {output} is one of the inputs", "name another file")


def _from_files(
    model: LoadedModel, paths: Sequence[str | Path], number: int, callbacks: Callbacks
) -> _Selection:
    """Return the first *number* images under *paths* that can be read."""
    selection = _Selection()
    inputs = find_inputs(paths)
    options = DecodeOptions.of(model.header.config.data)
    batches = decode_ahead(inputs, model.detector.shape, number, options=options)
    for image in chain.from_iterable(batches):
        if len(selection.pixels) == number:
            selection.truncated = True
            break
        name = image.name
        if image.pixels is None:
            selection.skipped += 1
            callbacks.warn(f"skipped {name}: {image.error}")
        else:
            selection.pixels.append(image.pixels)
            selection.names.append(name)
            selection.captions.append(Path(name).name)
    if not selection.pixels:
        if selection.skipped:
            raise DataError(none_readable(selection.skipped))
        where = ", ".join(map(str, paths))
        raise DataError(f"no images under {where} (looked for {' '.join(IMAGE_SUFFIXES)})")
    return selection


def _from_test(
    model: LoadedModel,
    source: ModelSource,
    run: Path,
    data_root: Path | None,
    number: int,
    seed: int,
    callbacks: Callbacks,
) -> _Selection:
    """Return test images chosen by the seed, half of them anomalies if there are enough."""
    directory = run_of(source, run, "name images, or the run")
    test = open_test(directory, model, data_root, callbacks)
    if not len(test.images):
        raise DataError("this run has no test images", "name images to reconstruct")
    images = test.images.drawn(number, np.random.default_rng(seed))
    outlier = images.outlier.tolist()
    captions = [
        f"{Path(name).name}: {test.class_names[int(label)]}" + (", an anomaly" if anomalous else "")
        for name, label, anomalous in zip(images.names, images.labels, outlier, strict=True)
    ]
    return _Selection(list(images.pixels), list(images.names), captions, outlier)
