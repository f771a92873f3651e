"""The preparation of a training, and the checks that fail before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bigan_cli.config.load import LoadedConfig
from bigan_cli.data.prepare import PreparedData, open_dataset, prepare
from bigan_cli.errors import DataError, UsageError
from bigan_cli.model.device import repeatable_arithmetic, resolve_device
from bigan_cli.model.pretext import check_tasks
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.plugins.instances import make_architecture, make_components
from bigan_cli.scoring.calibration import check_fpr, images_needed
from bigan_cli.scoring.default_components import DEFAULT_COMPONENTS
from bigan_cli.scoring.usable_components import missing_requirement, usable_components
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.training_setup import TrainingSetup

# Settings that may differ from machine to machine; the images that they lead to may not.
_PLACES_OF_DATA = {"root", "options", "exclude", "roi"}


@contextmanager
def prepare_training(
    loaded: LoadedConfig,
    callbacks: Callbacks,
    threads: int | None = None,
    group: ProcessGroup | None = None,
    *,
    beside: bool = False,
) -> Iterator[TrainingSetup]:
    """Find the device, read the images and build the networks; nothing is written.

    Meanwhile the arithmetic is repeatable (see :func:`repeatable_arithmetic`).

    Args:
        loaded: The configuration.
        callbacks: Receive notes about the data.
        threads: CPU threads to use, if not the default number.
        group: The processes of the training; by default this one alone.
        beside: Whether each of them trains members of its own; else they train one together.

    Raises:
        BiganError: The device is missing, the images cannot be read or are too few, the score has
            no component that these networks support, or the processes have other images.
    """
    group = group or ProcessGroup()
    device = resolve_device(loaded.config.train.device)
    dataset = open_dataset(loaded.registry, loaded.config.data)
    data = prepare(
        dataset, loaded.config, progress=partial(callbacks.on_progress, "reading images")
    )
    if data.protocol == "one-class" and not loaded.config.data.inlier:
        normal = data.class_names[data.normal_classes[0]]
        callbacks.note(f"note: no 'data.inlier' given, so class {normal} is taken as normal")
    for note in (*loaded.notes, *data.notes):
        callbacks.note(f"note: {note}")
    for warning in data.warnings:
        callbacks.warn(warning)
    with repeatable_arithmetic(device, data.input_shape, threads):
        _check_rate(data, chosen=loaded.sources.get("score.fpr", "default") != "default")
        architecture = make_architecture(loaded.registry, data.config.model)
        score = data.config.score
        names = score.components or DEFAULT_COMPONENTS
        components = make_components(loaded.registry, names, score)
        setup = TrainingSetup(
            data,
            architecture,
            components,
            device,
            loaded.registry,
            callbacks,
            ProcessGroup() if beside else group,
            group,
        )
        check_tasks(data.config.train, on_feature_map=setup.networks.on_feature_map)
        # Checked now: a score that cannot be computed is found before training, not after.
        usable_components(setup.networks, components, score.weights)
        if data.folds is not None:
            _check_cross_fitting(setup)
        if score.components:  # named, so their absence is worth knowing
            _warn_of_left_out(setup, callbacks)
        _check_alike(setup)
        yield setup


def _check_alike(setup: TrainingSetup) -> None:
    """Compare the images and the settings of all processes, which wait here for each other.

    Raises:
        UsageError: In process 0, if they differ.
    """
    settings = setup.config.model_dump(
        mode="json",
        exclude={"plugins": True, "output": True, "train": {"device"}, "data": _PLACES_OF_DATA},
    )
    own = {"images": setup.data.fingerprint, "settings": settings}
    for rank, other in enumerate(setup.all_processes.gather(own)):
        for what, value in own.items():
            if other[what] != value:
                raise UsageError(
                    f"process {rank} has other {what} than process 0",
                    "all processes need the same command and the same files",
                )


def _warn_of_left_out(setup: TrainingSetup, callbacks: Callbacks) -> None:
    """Warn of each score component that the networks do not support."""
    for component in setup.components:
        lacking = missing_requirement(component, setup.networks)
        if not lacking:
            continue
        key = f"{component.needs_head}_weight"
        why = f" ('train.{key}' is 0)" if getattr(setup.config.train, key, None) == 0 else ""
        callbacks.warn(f"score component '{component.name}' is left out: it needs {lacking}{why}")


def _check_rate(data: PreparedData, *, chosen: bool) -> None:
    """Raise an error if the calibration images are too few for ``score.fpr``.

    Where cross-fitting would do, the hint says so.

    Args:
        data: Prepared for the training.
        chosen: Whether the user has set the rate.

    Raises:
        UsageError: They are too few for the rate that was set.
        DataError: They are too few for the default.
    """
    fpr = data.config.score.fpr
    try:
        check_fpr(fpr, len(data.calibration))
    except UsageError as error:
        hint, kind = error.hint, UsageError if chosen else DataError
        normals = len(data.train) + len(data.validation) + len(data.calibration)
        could_be_cross_fitted = data.folds is None and data.stream is None
        if could_be_cross_fitted and normals >= images_needed(fpr) and hint:
            hint += "; for architectures on features 'data.calibration=cross-fitting'"
        raise kind(error.message, hint) from error


def _check_cross_fitting(setup: TrainingSetup) -> None:
    """Raise UsageError if the networks cannot be cross-fitted."""
    if not setup.networks.on_feature_map:
        raise UsageError(
            f"architecture '{setup.config.model.architecture}' works on pixels and cannot be "
            "calibrated by cross-fitting: every fold would be a full training",
            "set 'data.calibration=held-out', or 'model.architecture=features' for photographs",
        )
    if setup.data.tiling is not None:
        raise UsageError(
            "images that are cut into tiles cannot be calibrated on by cross-fitting",
            "set 'data.calibration=held-out'",
        )
    if setup.config.train.selection != "last":
        raise UsageError(
            "cross-fitting holds no images out to select an epoch with",
            "set 'train.selection=last', or 'data.calibration=held-out'",
        )
