"""The self-test of a model of a run: the one that training stored, or a new one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bigan_cli.data.prepare import open_dataset, reopen_normals
from bigan_cli.errors import BiganError
from bigan_cli.storage.model_file import load_detector
from bigan_cli.storage.model_header import read_header
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import LoadedModel, data_config, load_model
from bigan_cli.workflows.self_test import can_be_tested, images_looked_at, sample, self_test
from bigan_cli.workflows.self_test_result import SelfTest, read_self_test, write_self_test
from bigan_cli.workflows.training_setup import TrainingSetup


def test_finished_run(
    run: RunDirectory, setup: TrainingSetup, callbacks: Callbacks
) -> SelfTest | None:
    """Test the best model of a run that is trained, and write the result.

    None for networks on pixels, for many tiles, or where a model file is missing.
    """
    files = (run.best_model, run.epoch_model(0))
    if not setup.networks.on_feature_map or not all(file.is_file() for file in files):
        return None
    trained, untrained = (load_detector(file, setup.device, setup.registry) for file in files)
    if not can_be_tested(trained):
        return None
    data, seed = setup.data, setup.config.train.seed
    test = self_test(
        *sample(data.train.pixels, data.calibration.pixels, seed),
        read_header(run.best_model).sha256,
        trained=trained,
        untrained=untrained,
        on_progress=partial(callbacks.on_progress, "self-test"),
    )
    write_self_test(run, test)
    return test


def find_self_test(
    run: RunDirectory,
    model: LoadedModel,
    fpr: float,
    root: Path | None,
    device: str,
    plugins: Sequence[Path],
    callbacks: Callbacks,
) -> SelfTest | None:
    """Return which synthetic defects *model* finds on normal images of its run.

    Args:
        run: The run.
        model: One of its models.
        fpr: The false-positive rate.
        root: Where the data are now, if they were moved.
        device: Where the untrained networks are compared.
        plugins: Plugin files to load besides those of the run.
        callbacks: Receive progress, and a warning where the images cannot be read.

    Returns:
        None for networks on pixels, for many tiles, and without images or the model file of the
        untrained networks.
    """
    untrained = run.epoch_model(0)
    if model.header.epoch == 0 or not can_be_tested(model.detector) or not untrained.is_file():
        return None
    stored = read_self_test(run)
    if stored is not None and (stored.model_sha256, stored.fpr) == (model.header.sha256, fpr):
        return stored
    # The other notes on the data are those of the test images.
    config = data_config(run, model, root, Callbacks())
    try:
        number = images_looked_at(model.detector.shape)
        train, calibration = reopen_normals(
            open_dataset(model.registry, config.data),
            config,
            samples=number,
            most=number,
            shape=model.detector.shape,
            roi=model.detector.roi,
        )
    except BiganError as error:
        callbacks.warn(f"no self-test: {error.message}")
        return None
    return self_test(
        train.pixels,
        calibration.pixels,
        model.header.sha256,
        trained=model.detector,
        untrained=load_model(untrained, device, plugins, callbacks).detector,
        fpr=fpr,
        on_progress=partial(callbacks.on_progress, "self-test"),
    )
