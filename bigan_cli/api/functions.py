"""Train, load, evaluate and benchmark from Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigan_cli.api.detector import Detector, PathText
from bigan_cli.config.keywords import settings_from_keywords
from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.data.image_inputs import ImageInputs, iter_images
from bigan_cli.errors import UsageError
from bigan_cli.image_files import is_folder
from bigan_cli.missing_paths import require_folder
from bigan_cli.model.rng import preserved_random_states
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.benchmark.grid import make_grid
from bigan_cli.workflows.benchmark.run import BenchmarkResult
from bigan_cli.workflows.benchmark.run import benchmark as run_benchmark
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.evaluate import evaluate as evaluate_run
from bigan_cli.workflows.evaluation_result import EvaluationResult
from bigan_cli.workflows.in_memory import NAME as IN_MEMORY
from bigan_cli.workflows.in_memory import with_images
from bigan_cli.workflows.run_config import load as load_run_config
from bigan_cli.workflows.score_config import with_weights
from bigan_cli.workflows.train import train as train_run

# Training draws from PyTorch's global random numbers: two at a time would not be repeatable.
_TRAINING = threading.Lock()


def train(
    data: ImageInputs | None = None,
    /,
    *,
    save_dir: PathText = "results",
    config: PathText | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callbacks | None = None,
    **settings: Any,
) -> Detector:
    """Train a run and return its best detector.

    Args:
        data: The normal images: a folder, as of the dataset ``folder``; or PIL images, arrays
            and paths, as :class:`Detector` takes them. By default ``data__dataset`` and
            ``data__root`` say which.
        save_dir: The run directory.
        config: A config file (TOML), which *settings* override.
        resume: Continue the run in *save_dir*.
        overwrite: Replace a run that is there.
        callbacks: Receive progress and warnings, and may stop the training. By default progress
            is logged and warnings are a BiganWarning.
        **settings: Any setting of a config file: by the name of its key (``epochs=5``,
            ``image_size=64``), with its tables where that is ambiguous
            (``model__options__feature_maps_gen=32``), or as a table (``train={"lr": 1e-4}``).

    Raises:
        ConfigError: Settings are wrong; it lists all problems.
        RunDirectoryError: There is a run already, or none to resume.
        DataError: Images are missing, unreadable or too few.
        TrainingError: Training diverged or ran out of memory.
    """
    given = {"output.save_dir": os.fspath(save_dir), **settings_from_keywords(settings)}
    file = None if config is None else Path(config)
    folder = isinstance(data, str | os.PathLike) and is_folder(Path(data).expanduser())
    if data is None or folder:
        if data is not None:
            given |= {"data.dataset": "folder", "data.root": os.fspath(data)}  # type: ignore[arg-type]
        loaded = load_run_config(file, (), given, resume=resume)
    elif isinstance(data, str | os.PathLike):
        require_folder(Path(data).expanduser(), "give a folder, or several images")
    elif resume:
        raise UsageError("a run of images in memory cannot be resumed", "train it anew")
    else:
        loaded = _with_images(data, file, given)
    with _TRAINING, preserved_random_states():
        result = train_run(loaded, resume=resume, overwrite=overwrite, callbacks=callbacks)
    plugins = [Path(plugin) for plugin in loaded.config.plugins]
    return load(result.run, device=loaded.config.train.device, plugins=plugins)


def _with_images(data: ImageInputs, file: Path | None, given: dict[str, Any]) -> LoadedConfig:
    found = list(iter_images(data))
    names, images = [name for name, _ in found], [image for _, image in found]
    registry = with_images(load_config(file=file, settings=given).registry, images, names)
    given = {**given, "data.dataset": IN_MEMORY}
    loaded = load_config(file=file, settings=given, registry=registry)
    return replace(loaded, config=with_weights(loaded.config, registry))


def load(
    run: PathText,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    plugins: Sequence[PathText] = (),
) -> Detector:
    """Load a trained detector.

    Args:
        run: A run directory, or a model file (``.safetensors``).
        checkpoint: Which model of a run: ``best``, ``last`` or a saved epoch.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Plugin files to run; those that the model names are not run otherwise.

    Raises:
        RunDirectoryError: There is no such run, or no such checkpoint in it.
        DeviceError: There is no such device.
        DataError: The file is damaged or is not a model file.
        PluginError: A plugin that the model needs is missing.
    """
    path = Path(run).expanduser()
    file = path if path.is_file() else RunDirectory.open(path).model_file(checkpoint)
    return Detector.from_file(file, device, [Path(plugin) for plugin in plugins])


def evaluate(run: PathText, **options: Any) -> EvaluationResult:
    """Evaluate a run on its test images and write the figures below its ``stats/``.

    Args:
        run: The run directory.
        **options: As :func:`bigan_cli.workflows.evaluate.evaluate` takes them: ``checkpoint``,
            ``device``, ``fpr``, ``dataset``, ``data_root``, ``inlier``, ``outlier``, ``seed``,
            ``output``, ``callbacks``, ...

    Returns:
        The result: ``.auroc.value``, None without both normal images and anomalies; all
        figures with ``.as_dict()``.
    """
    return evaluate_run(run=Path(run), **options)


def write_report(run: PathText, output: PathText | None = None, **options: Any) -> Path:
    """Evaluate a run and write an HTML report of it, one file that needs no network.

    Args:
        run: The run directory.
        output: The file to write; by default ``report.html`` in the run.
        **options: As :func:`bigan_cli.workflows.evaluate.evaluate` takes them: ``checkpoint``,
            ``device``, ``fpr``, ``data_root``, ``callbacks``, ...

    Returns:
        The file.

    Raises:
        OSError: The files of the evaluation or the report cannot be written.
    """
    file = True if output is None else Path(output)
    result = evaluate_run(run=Path(run), report=file, **options)
    if result.report is None:
        raise result.write_error or OSError("the report was not written")
    return result.report


def benchmark(
    output: PathText = "benchmark-results",
    *,
    jobs: int = 1,
    baselines: bool = False,
    callbacks: Callbacks | None = None,
    **grid: Any,
) -> BenchmarkResult:
    """Train and evaluate over datasets, classes, seeds and variants; write tables of the results.

    Every cell of the grid runs in a process of its own, so a script that calls this must be
    guarded by ``if __name__ == "__main__"``. What an earlier call finished is not run again.

    Args:
        output: The folder for runs and results.
        jobs: How many cells run at a time; they share the cores.
        baselines: Whether to add classical detectors on the same images.
        callbacks: Only ``should_stop`` is used.
        grid: The cells, as for :func:`bigan_cli.workflows.benchmark.grid.make_grid`, for
            instance ``datasets=["mnist"], inlier=["all"], seeds=[0, 1]``.

    Raises:
        UsageError: The grid is wrong, or the folder has results with other settings.
    """
    return run_benchmark(
        make_grid(**grid), output=Path(output), jobs=jobs, baselines=baselines, callbacks=callbacks
    )
