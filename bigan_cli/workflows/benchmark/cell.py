"""The work of a benchmark's processes: the training and evaluation of one cell.

Nothing heavy is imported at the top: the parent process imports this module too.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigan_cli.atomic import write_lock
from bigan_cli.config.load import LoadedConfig
from bigan_cli.contracts.epoch_record import EpochRecord
from bigan_cli.errors import BiganError, DataError, RunDirectoryError, UsageError
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows import run_config
from bigan_cli.workflows.benchmark.grid import Cell, SharedSettings
from bigan_cli.workflows.environment import machine

if TYPE_CHECKING:
    from bigan_cli.workflows.benchmark.worker import Worker

# A killed benchmark's processes notice that it is dead within moments.
_LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class CellResult:
    """The figures of one trained and evaluated cell.

    Attributes:
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        normal_classes: Names.
        anomalous_classes: Names, of the test images.
        device: The device of the training.
        machine: The machine with that device, for people.
        precision: ``fp32`` or ``bf16``.
        epochs: Epochs trained.
        best_epoch: The epoch with the lowest validation figure.
        evaluated_epoch: The epoch of the evaluated model.
        auroc: Of the trained networks; None where the test images are all of one kind.
        auroc_interval: Its 95 % interval, (low, high).
        average_precision: Likewise.
        average_precision_interval: Likewise.
        prevalence: The share of anomalies among the test images.
        untrained_auroc: Of the same networks before training.
        untrained_average_precision: Likewise.
        components: Component -> its AUROC by itself.
        untrained_components: The same before training.
        training_seconds: Duration of the training, all its calls together.
        images_per_second: Median training throughput of the epochs.
        images: Split -> number of images.
        parameters: Number of parameters of all networks.
        data_fingerprint: Hash of all images and splits.
        test_fingerprint: Hash of the test images.
        versions: Package -> version.
        peak_memory_bytes: The most memory of the process until the end of training; None where
            an earlier call did all the training, or the system does not report it.
    """

    protocol: str
    normal_classes: list[str]
    anomalous_classes: list[str]
    device: str
    machine: str
    precision: str
    epochs: int
    best_epoch: int
    evaluated_epoch: int
    auroc: float | None
    auroc_interval: list[float] | None
    average_precision: float | None
    average_precision_interval: list[float] | None
    prevalence: float
    untrained_auroc: float | None
    untrained_average_precision: float | None
    components: dict[str, float]
    untrained_components: dict[str, float]
    training_seconds: float
    images_per_second: float | None
    images: dict[str, int]
    parameters: int
    data_fingerprint: str
    test_fingerprint: str
    versions: dict[str, str]
    peak_memory_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self)


def run_cell(cell: Cell, shared: SharedSettings, path: Path, worker: Worker) -> CellResult:
    """Train and evaluate *cell*, as far as this has not been done.

    Args:
        cell: What to run.
        shared: The settings that all cells share.
        path: The run directory.
        worker: Of this process.

    Raises:
        KeyboardInterrupt: The worker was asked to stop; what was trained is saved.
        BiganError: The training or the evaluation failed.
    """
    run = RunDirectory(path)
    peak = None
    if status_of(run) != "done":
        _wait_for_lock(path)
        with worker.stopping_later():
            _train(cell, shared, run, worker)
        peak = _peak_memory()
    return _result(run, _evaluate(cell, shared, run, worker), peak)


def _train(cell: Cell, shared: SharedSettings, run: RunDirectory, worker: Worker) -> None:
    """Train *cell*, or resume its training; start again after divergence."""
    from bigan_cli.workflows.train import train

    resume = can_resume(run)
    try:
        loaded = _load(cell, shared, run.path, resume=resume)
        train(
            loaded,
            resume=resume,
            overwrite=not resume and run.path.exists(),
            callbacks=replace(worker.callbacks, on_epoch=_EpochLog(loaded, worker)),
        )
    except BiganError as error:
        if not resume:
            raise
        message = f"{error.message}; to start the run again, delete {run.path}"
        raise RunDirectoryError(message, error.hint) from error


def _load(cell: Cell, shared: SharedSettings, path: Path, *, resume: bool) -> LoadedConfig:
    if resume:
        settings = {
            "train.device": cell.device,
            "data.root": shared.data_root,
            "output.save_dir": path,
            "plugins": list(shared.plugins) or None,
        }
        return run_config.load(None, (), settings, resume=True)
    settings = {**settings_of(cell, shared), "output.save_dir": path}
    return run_config.load(shared.config, cell.sets, settings, resume=False)


class _EpochLog:
    """Logs a line for each finished epoch."""

    def __init__(self, loaded: LoadedConfig, worker: Worker) -> None:
        self._epochs = loaded.config.train.epochs
        self._note = worker.callbacks.note

    def __call__(self, record: EpochRecord) -> None:
        losses = " ".join(f"{name}={value:.3f}" for name, value in record.losses.items())
        self._note(
            f"epoch {record.epoch}/{self._epochs} {losses} validation={record.validation:.4f} "
            f"{record.seconds:.1f}s {record.images_per_second:.0f} images/s"
        )


def _evaluate(
    cell: Cell, shared: SharedSettings, run: RunDirectory, worker: Worker
) -> dict[str, Any]:
    from bigan_cli.workflows.evaluate import evaluate

    result = evaluate(
        run=run.path,
        device=cell.device,
        data_root=shared.data_root,
        callbacks=worker.callbacks,
    )
    if result.write_error is not None:
        raise result.write_error
    return result.as_dict()


def settings_of(cell: Cell, shared: SharedSettings) -> dict[str, Any]:
    """Return the settings of *cell* besides its config file and ``sets``, by dotted key."""
    settings: dict[str, Any] = {
        "data.dataset": cell.dataset,
        "data.root": shared.data_root,
        "train.seed": cell.seed,
        "train.preset": cell.preset,
        "train.device": cell.device,
        "plugins": list(shared.plugins) or None,
    }
    if cell.option:
        settings[f"data.{cell.option}"] = list(cell.classes)
    return settings


def status_of(run: RunDirectory) -> str:
    """Return the status of a run, or an empty string if there is no run."""
    try:
        return str(run.info().get("status", ""))
    except BiganError:
        return ""


def can_resume(run: RunDirectory) -> bool:
    """Return whether *run* was stopped or killed and has a training state."""
    unfinished = status_of(run) in ("running", "interrupted")
    return unfinished and run.config_file.is_file() and run.training_state(0).is_file()


def compute_baselines(
    path: Path, data_root: Path | None, plugins: Sequence[Path], worker: Worker
) -> dict[str, Any]:
    """Return the figures of the classical detectors on the very images of a run.

    Args:
        path: The run directory.
        data_root: Folder with the data, or None for the run's own.
        plugins: Plugin files.
        worker: Of this process.

    Raises:
        RunDirectoryError: There is no run.
        DataError: Its images are missing or have changed.
        UsageError: They are cut into tiles.
    """
    from bigan_cli.data.prepare import open_dataset, prepare
    from bigan_cli.evaluation.baselines import run_baselines
    from bigan_cli.plugins import load_registry

    run = RunDirectory.open(path)
    config = run.config()
    if data_root is not None:
        data = config.data.model_copy(update={"root": data_root})
        config = config.model_copy(update={"data": data})
    worker.callbacks.note("computing the baselines")
    registry = load_registry(plugins)
    prepared = prepare(open_dataset(registry, config.data), config)
    if prepared.fingerprint != run.info().get("data", {}).get("fingerprint"):
        raise DataError(
            f"the images of {prepared.dataset_name} have changed since {path} was trained",
            "figures of different images cannot be compared; train again",
        )
    if prepared.tiling is not None:
        raise UsageError(
            "baselines take whole images as vectors of pixels, and these are cut into tiles",
            "leave out the baselines, or set 'data.image_size' in place of 'data.tile'",
        )
    test = prepared.test
    return run_baselines(prepared.train.pixels, test.pixels, test.outlier, config.train.seed)


def _wait_for_lock(path: Path) -> None:
    """Wait until a process of a benchmark that was just killed has released the run."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while path.exists() and time.monotonic() < deadline:
        try:
            with write_lock(path):
                return
        except RunDirectoryError:
            time.sleep(0.1)


def _peak_memory() -> int | None:
    """Return the most memory that this process has used, in bytes."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _result(run: RunDirectory, evaluation: Mapping[str, Any], peak: int | None) -> CellResult:
    info, data = run.info(), run.info()["data"]
    speeds = [record["images_per_second"] for record in run.metrics()]
    trained, untrained = evaluation["trained"], evaluation["untrained"] or {}
    return CellResult(
        protocol=data["protocol"],
        normal_classes=data["normal_classes"],
        anomalous_classes=[c["name"] for c in evaluation["classes"] if c["outlier"]],
        device=info["device"],
        machine=machine(info["device"]),
        precision=info["precision"],
        epochs=info["epochs"],
        best_epoch=info["best_epoch"],
        evaluated_epoch=evaluation["epoch"],
        auroc=_value(trained["auroc"]),
        auroc_interval=_interval(trained["auroc"]),
        average_precision=_value(trained["average_precision"]),
        average_precision_interval=_interval(trained["average_precision"]),
        prevalence=evaluation["prevalence"],
        untrained_auroc=_value(untrained.get("auroc")),
        untrained_average_precision=_value(untrained.get("average_precision")),
        components=trained["components"],
        untrained_components=untrained.get("components", {}),
        training_seconds=info["seconds"],
        images_per_second=round(statistics.median(speeds), 1) if speeds else None,
        images=data["images"],
        parameters=info["parameters"],
        data_fingerprint=data["fingerprint"],
        test_fingerprint=data["test_fingerprint"],
        versions=info["versions"],
        peak_memory_bytes=peak,
    )


def _value(estimate: Mapping[str, float] | None) -> float | None:
    return None if estimate is None else estimate["value"]


def _interval(estimate: Mapping[str, float] | None) -> list[float] | None:
    return None if estimate is None else [estimate["low"], estimate["high"]]
