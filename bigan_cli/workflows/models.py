"""Loading a trained model and its test images, for scoring, evaluation and reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bigan_cli.errors import RunDirectoryError, UsageError
from bigan_cli.missing_paths import similar_path
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.moved_images import moved_root, require_images

if TYPE_CHECKING:
    import torch

    from bigan_cli.config.schema import RunConfig
    from bigan_cli.data.prepare import TestSet
    from bigan_cli.plugins import Registry
    from bigan_cli.scoring.detector import Detector
    from bigan_cli.storage.model_header import ModelHeader


# A GPU gets batches this many times as large as a CPU.
_GPU_BATCHES = 16


@dataclass(frozen=True)
class ModelSource:
    """A model file and its run, found before anything heavy is imported.

    Attributes:
        run: The run directory; None for a model file outside any run.
        file: The model file.
    """

    run: RunDirectory | None
    file: Path


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A detector with the header of its model file."""

    header: ModelHeader
    detector: Detector
    registry: Registry
    device: torch.device


def find_model(run: Path, checkpoint: str) -> ModelSource:
    """Return the model file of a checkpoint.

    Args:
        run: The run directory, or a model file. It need not exist if *checkpoint* is a model file.
        checkpoint: ``best``, ``last``, a saved epoch, or the path of a model file.

    Raises:
        RunDirectoryError: There is no such run, or no such checkpoint in it.
    """
    if run.is_file():
        if checkpoint != "best":
            raise RunDirectoryError(
                f"{run} is a model file, which has no checkpoint '{checkpoint}'",
                "name the run directory",
            )
        return ModelSource(None, run)
    if not run.exists() and run.suffix == ".safetensors" and checkpoint == "best":
        hint = similar_path(run) or "name a run or a model file"
        raise RunDirectoryError(f"there is no model file {run}", hint)
    directory = RunDirectory(run)
    if not directory.run_file.is_file() and Path(checkpoint).is_file():
        return ModelSource(None, Path(checkpoint))
    directory = RunDirectory.open(run)
    return ModelSource(directory, directory.model_file(checkpoint))


def run_of(source: ModelSource, run: Path, hint: str) -> RunDirectory:
    """Return the run of a model, whose test images are needed.

    Raises:
        RunDirectoryError: The model file is outside any run; *hint* says what to do then.
    """
    if source.run is None:
        raise RunDirectoryError(
            f"no run in {run} (run.json missing)",
            f"a model file alone does not know its test images: {hint}",
        )
    return source.run


def load_model(
    file: Path, device: str, plugins: Sequence[Path], callbacks: Callbacks
) -> LoadedModel:
    """Load the detector in *file* onto *device*.

    Plugin files that the model names are not run, unless *plugins* names them.

    Args:
        file: The model file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run.
        callbacks: Receive details.

    Raises:
        DeviceError: There is no such device.
        DataError: The file is damaged or is not a model file.
        PluginError: A plugin that the model needs is missing.
    """
    from bigan_cli.model.device import resolve_device
    from bigan_cli.plugins import load_registry
    from bigan_cli.storage.model_file import load_detector
    from bigan_cli.storage.model_header import read_model_file

    chosen = resolve_device(device)
    model_file = read_model_file(file)
    header = model_file.header
    registry = load_registry(
        plugins, list(map(Path, header.config.plugins)), header.plugin_versions
    )
    detector = load_detector(model_file, chosen, registry)
    callbacks.detail(f"{file}: epoch {header.epoch}, {header.image_shape} pixels, on {chosen}")
    callbacks.detail(f"SHA-256 of the model: {header.sha256}")
    for revision in header.revisions:
        callbacks.detail(
            f"{revision.kind} {revision.created} with {revision.images} images, from the model "
            f"{revision.parent_sha256}"
        )
    return LoadedModel(header, detector, registry, chosen)


def set_batch_size(model: LoadedModel, batch_size: int | None) -> None:
    """Set the number of images per forward pass.

    By default a CPU uses the number that the model was calibrated with, so that scores repeat to
    the bit: another number may change their last digits. A GPU reproduces scores to float
    tolerance only, and needs larger batches to be busy.
    """
    if batch_size is not None:
        model.detector.batch_size = batch_size
    elif model.device.type != "cpu":
        model.detector.batch_size = _GPU_BATCHES * model.header.batch_size


def open_test(
    run: RunDirectory, model: LoadedModel, root: Path | None, callbacks: Callbacks
) -> TestSet:
    """Return the run's own test images, read again from where they came.

    Args:
        run: Knows the fingerprint of its test images.
        model: Knows the configuration.
        root: Where the data are now, if they were moved.
        callbacks: Receive a warning if the images are not those of the run.

    Raises:
        DataError: Images are missing or unreadable.
        PluginError: The dataset is no longer installed.
    """
    from bigan_cli.data.prepare import open_dataset, reopen_test

    config = data_config(run, model, root, callbacks)
    dataset = open_dataset(model.registry, config.data)
    test = reopen_test(
        dataset,
        config,
        progress=partial(callbacks.on_progress, "reading images"),
        roi=model.detector.roi,
    )
    report_notes(test, callbacks)
    if test.image_shape != model.detector.shape:
        raise UsageError(f"model expects {model.detector.shape}, the data give {test.image_shape}")
    known = run.info().get("data", {}).get("test_fingerprint", "")
    if known and known != test.fingerprint:
        callbacks.warn(
            f"the test images of {config.data.dataset} are not those of {run.path}: files were "
            "changed, added or removed since it was trained"
        )
    return test


def data_config(
    run: RunDirectory, model: LoadedModel, root: Path | None, callbacks: Callbacks
) -> RunConfig:
    """Return the configuration of the run, with the folder where its data are now.

    Args:
        run: Knows where it was trained.
        model: Knows the configuration.
        root: Where the data are now; None for where they were, or moved together with the run.
        callbacks: Receive a note if they were moved.

    Raises:
        DataError: They are no longer where they were.
    """
    config = model.header.config
    if root is None:
        root = moved_root(run, config.data.root)
        if root is None:
            require_images(run, model.registry, config)
            return config
        callbacks.note(f"note: {config.data.root} is missing; reading {root}, moved like the run")
    return config.model_copy(update={"data": config.data.model_copy(update={"root": root})})


def report_notes(test: TestSet, callbacks: Callbacks) -> None:
    """Report how the dataset understood its files, and what looks wrong in them."""
    for note in test.notes:
        callbacks.note(f"note: {note}")
    for warning in test.warnings:
        callbacks.warn(warning)
