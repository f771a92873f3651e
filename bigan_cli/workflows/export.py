"""Export of a trained model as one file, checked against the detector before it is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.atomic import atomic_write
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_inputs import ImageInputs, image_batches
from bigan_cli.data.prepare import open_dataset, reopen_normals
from bigan_cli.errors import BiganError, DataError, UsageError
from bigan_cli.export import onnx_format
from bigan_cli.export.comparison import Comparison, compare
from bigan_cli.export.graph import DetectorGraph
from bigan_cli.export.metadata import export_metadata
from bigan_cli.export.outputs import Runner
from bigan_cli.export.torch_format import to_torch, torch_runner
from bigan_cli.export.trace import trace
from bigan_cli.formatting import count
from bigan_cli.missing_paths import require_one
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import (
    LoadedModel,
    ModelSource,
    data_config,
    find_model,
    load_model,
)

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""The formats, and the suffixes of their files."""

RUNNERS = ("run_onnx.py", "run_onnx.cpp")
"""Programs that run an exported model without bigan."""

# Images that exported model and detector are compared on, at most.
_MOST_IMAGES = 1000


@dataclass(frozen=True)
class ExportResult:
    """An exported model.

    Attributes:
        output: The file.
        format: ``onnx`` or ``torch``.
        size: Its bytes.
        model: The model file that it was made from.
        model_sha256: The checksum of that.
        fpr: The false-positive rate of the labels and of the heatmaps' unit.
        threshold: An image is anomalous if its score exceeds this.
        compared_on: What the two were compared on.
        comparison: How far apart they are.
        runners: The programs written beside it.
    """

    output: Path
    format: str
    size: int
    model: Path
    model_sha256: str
    fpr: float
    threshold: float
    compared_on: str
    comparison: Comparison
    runners: tuple[Path, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return asdict(self)


def export_model(
    *,
    run: Path,
    checkpoint: str = "best",
    plugins: Sequence[Path] = (),
    output: Path | None = None,
    file_format: str | None = None,
    fpr: float | None = None,
    data_root: Path | None = None,
    images: ImageInputs | None = None,
    runner: bool = False,
    callbacks: Callbacks | None = None,
) -> ExportResult:
    """Write a trained model as one file that runs without bigan; see :class:`DetectorGraph`.

    The file is compared with the detector on the calibration images of the run before it is
    written. Everything runs on the CPU.

    Args:
        run: The run directory.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.
        plugins: Plugin files to run; those that the model names are not run otherwise.
        output: The file to write; replaced where it exists. By default ``model.onnx`` or
            ``model.pt2`` in the run.
        file_format: ``onnx`` or ``torch``; by default as the suffix of *output* says, else onnx.
        fpr: The false-positive rate of the labels and of the heatmaps' unit; by default the run's.
        data_root: Where the run's data are now, if they were moved.
        images: Images to compare on in place of the run's own.
        runner: Whether to write programs that run an ONNX file next to it.
        callbacks: Receive notes, warnings and progress.

    Raises:
        UsageError: Arguments contradict each other, a package is missing, or the model cannot be
            exported.
        DataError: There are no images to compare on, or the exported model differs from the
            detector.
    """
    callbacks = callbacks or Callbacks()
    chosen = _format(output, file_format)
    if runner and chosen != "onnx":
        raise UsageError("there is a runner of ONNX files only", "export to ONNX")
    if chosen == "onnx":
        onnx_format.check_installed()
    source = find_model(run, checkpoint)
    path = _output(output, source, chosen)
    model = load_model(source.file, "cpu", plugins, callbacks)
    if model.detector.is_tiled:
        raise UsageError(
            "a model with tiles cannot be exported: one graph takes whole images of one size",
            "train without 'data.tile'",
        )
    fpr = model.detector.default_fpr if fpr is None else fpr
    graph = DetectorGraph(model.detector, fpr)
    pixels, compared_on = _normal_images(source, model, data_root, images, callbacks)
    content, run_exported = _exported(model, graph, chosen, fpr, callbacks)
    comparison = compare(
        model.detector,
        run_exported,
        pixels,
        fpr,
        partial(callbacks.on_progress, "comparing with the detector"),
    )
    comparison.check()
    return ExportResult(
        output=path,
        format=chosen,
        size=len(content),
        model=source.file,
        model_sha256=model.header.sha256,
        fpr=fpr,
        threshold=model.detector.calibration.threshold(fpr),
        compared_on=compared_on,
        comparison=comparison,
        runners=_write(path, content, RUNNERS if runner else ()),
    )


def _format(output: Path | None, file_format: str | None) -> str:
    by_suffix = {suffix: name for name, suffix in SUFFIXES.items()}
    expected = "'.onnx' or '.pt2'"
    if file_format is not None and file_format not in SUFFIXES:
        raise UsageError(f"no format '{file_format}'", f"choose {' or '.join(SUFFIXES)}")
    if output is None:
        return file_format or "onnx"
    found = by_suffix.get(output.suffix.lower())
    if found is None:
        raise UsageError(f"the file to write must end with {expected}, not '{output.name}'")
    if file_format not in (None, found):
        raise UsageError(
            f"a file '{output.name}' is not of format '{file_format}'",
            f"its name would end with '{SUFFIXES[str(file_format)]}'",
        )
    return found


def _output(output: Path | None, source: ModelSource, file_format: str) -> Path:
    if output is None:
        folder = Path() if source.run is None else source.run.path
        output = folder / f"model{SUFFIXES[file_format]}"
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "name a file")
    return output


def _exported(
    model: LoadedModel, graph: DetectorGraph, file_format: str, fpr: float, callbacks: Callbacks
) -> tuple[bytes, Runner]:
    """Return the content of the exported file, and what runs it."""
    callbacks.detail("tracing the networks and components")
    program = trace(graph, model.detector.shape)
    metadata = export_metadata(model.header, model.detector, fpr)
    if file_format == "torch":
        content = to_torch(program, metadata)
        return content, torch_runner(content)
    callbacks.detail("writing them as ONNX operators")
    content = onnx_format.to_onnx(program, graph.output_names, metadata)
    return content, onnx_format.onnx_runner(content)


def _normal_images(
    source: ModelSource,
    model: LoadedModel,
    root: Path | None,
    given: ImageInputs | None,
    callbacks: Callbacks,
) -> tuple[NDArray[np.uint8], str]:
    """Return images to compare on, uint8 ``[N, C, H, W]``, and what they are."""
    detector, config = model.detector, model.header.config
    if isinstance(given, str | os.PathLike):
        require_one([Path(given)])
    if given is not None:
        pixels = _read(given, model)
        return pixels, count(len(pixels), "given image")
    try:
        if source.run is not None:
            config = data_config(source.run, model, root, callbacks)
        elif root is not None:
            config = config.model_copy(
                update={"data": config.data.model_copy(update={"root": root})}
            )
        train, calibration = reopen_normals(
            open_dataset(model.registry, config.data),
            config,
            samples=_MOST_IMAGES,
            most=_MOST_IMAGES,
            shape=detector.shape,
            roi=detector.roi,
        )
    except BiganError as error:
        kind = UsageError if isinstance(error, UsageError) else DataError
        raise kind(
            f"no images to compare the exported model with the detector on: {error.message}",
            "set 'data.root' to where they are now, or give other normal images",
        ) from error
    if len(calibration):  # else the dataset changed since
        return calibration.pixels, f"{count(len(calibration), 'calibration image')} of the run"
    return train.pixels, f"{count(len(train), 'training image')} of the run"


def _read(given: ImageInputs, model: LoadedModel) -> NDArray[np.uint8]:
    options = DecodeOptions.of(model.header.config.data)
    found, total = [], 0
    for _, pixels in image_batches(given, model.detector.shape, options):
        found.append(pixels[: _MOST_IMAGES - total])
        total += len(found[-1])
        if total == _MOST_IMAGES:
            break
    if not found:
        raise DataError("no images to compare the exported model with the detector on")
    return np.concatenate(found)


def _write(path: Path, content: bytes, runners: Sequence[str]) -> tuple[Path, ...]:
    """Write the exported model, and the programs *runners* next to it; return their paths."""
    with atomic_write(path) as stream:
        stream.write(content)
    written = tuple(path.with_name(name) for name in runners)
    for file in written:
        with atomic_write(file) as stream:
            stream.write(files("bigan_cli.export").joinpath("runners", file.name).read_bytes())
    return written
