"""The Python API: train or load a detector, and use it on images in any container."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigan_cli.config.keywords import settings_from_keywords
from bigan_cli.config.load import LoadedConfig, load_config
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_inputs import ImageInputs, image_batches, iter_images
from bigan_cli.errors import DataError, UsageError
from bigan_cli.image_files import is_folder
from bigan_cli.model.rng import preserved_random_states
from bigan_cli.scoring.detector import Detector as FittedDetector
from bigan_cli.scoring.detector import Scores
from bigan_cli.storage.model_file import make_header, save_detector
from bigan_cli.storage.model_header import ModelHeader
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.benchmark.grid import make_grid
from bigan_cli.workflows.benchmark.run import BenchmarkResult
from bigan_cli.workflows.benchmark.run import benchmark as run_benchmark
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.evaluate import EvaluationResult
from bigan_cli.workflows.evaluate import evaluate as evaluate_run
from bigan_cli.workflows.in_memory import NAME as IN_MEMORY
from bigan_cli.workflows.in_memory import with_images
from bigan_cli.workflows.models import load_model
from bigan_cli.workflows.run_config import load as load_run_config
from bigan_cli.workflows.score_config import with_weights
from bigan_cli.workflows.train import train as train_run

# Training draws from PyTorch's global random numbers: two at a time would not be repeatable.
_TRAINING = threading.Lock()

PathText = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class ScoreResult:
    """The scores of N images, in the order in which they were given.

    Attributes:
        names: The path of each image, or ``image 0``, ``image 1``, ... for images in memory.
        score: float64 ``[N]``; higher is more anomalous, about 0 for a typical normal image.
        p_value: float64 ``[N]``, in (0, 1]: how rare such a score is among normal images.
        components: Name -> float64 ``[N]``, the standardised score components.
        maps: float32 ``[N, H, W]`` at the networks' size, where each image is anomalous; None
            unless asked for.
    """

    names: tuple[str, ...]
    score: NDArray[np.float64]
    p_value: NDArray[np.float64]
    components: Mapping[str, NDArray[np.float64]]
    maps: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.score)


class Detector:
    """A trained detector. Make one with :func:`bigan_cli.train` or :func:`bigan_cli.load`.

    Images are given as a path (of a folder: all images in it), a PIL image of any mode, an
    array of uint8 or uint16 (``[H, W]`` or ``[H, W, C]``, C = 1, 3 or 4; ``[N, H, W]`` or
    ``[N, H, W, C]`` for several), or as any iterable of paths, PIL images and arrays. Sizes may
    differ. Every image is prepared as ``bigan score`` prepares files, and scored independently
    of the others. An iterable is consumed a part at a time.

    It may be used from several threads, and pickled, for instance into a spawned process.

    The methods that take images raise:
        InputTypeError: Something is not an image; it is a TypeError.
        UsageError: An array has a wrong shape; it is a ValueError.
        DataError: An image cannot be read; it is a ValueError.
    """

    def __init__(
        self, detector: FittedDetector, header: ModelHeader, plugins: Sequence[Path] = ()
    ) -> None:
        self._detector = detector
        self._header = header
        self._plugins = tuple(plugins)

    @classmethod
    def from_fitted(cls, detector: FittedDetector, loaded: LoadedConfig) -> Detector:
        """Return the detector that was fitted to images in memory with this configuration."""
        header = make_header(
            detector,
            config=loaded.config,
            class_names=("normal",),
            normal_classes=(0,),
            preprocessing=PREPROCESSING,
            fingerprint="",
        )
        return cls(detector, header, [Path(plugin) for plugin in loaded.config.plugins])

    def __repr__(self) -> str:
        return (
            f"<bigan Detector: {self._header.config.model.architecture}, {self.image_shape} "
            f"pixels, epoch {self._header.epoch}, {self.calibration_size} calibration images>"
        )

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height and width that images are brought to."""
        return self._detector.shape

    @property
    def component_names(self) -> tuple[str, ...]:
        """The score components, in the order in which they are reported."""
        return self._detector.component_names

    @property
    def calibration_size(self) -> int:
        """The number n of calibration images; a rate must be at least 1 / (n + 1)."""
        return self._detector.calibration.n

    @property
    def fpr(self) -> float:
        """The false-positive rate used where none is given."""
        return self._detector.default_fpr

    def threshold(self, fpr: float | None = None) -> float:
        """Return the score above which an image is anomalous at false-positive rate *fpr*.

        Raises:
            DataError: There are too few calibration images for so small a rate.
            UsageError: *fpr* is not between 0 and 1.
        """
        return self._detector.calibration.threshold(self.fpr if fpr is None else fpr)

    def score(self, images: ImageInputs, *, maps: bool = False) -> ScoreResult:
        """Score images.

        Args:
            images: One or many; see the class.
            maps: Whether to compute :attr:`ScoreResult.maps`, which takes about as long again.

        Raises:
            UsageError: *maps*, and no score component of this detector has any.
        """
        names: list[str] = []
        found: list[Scores] = []
        heat: list[NDArray[np.float32]] = []
        for some, pixels in self._batches(images):
            names += some
            found.append(self._detector.score(pixels))
            if maps:
                heat.append(self._maps(pixels))
        return ScoreResult(
            tuple(names),
            np.concatenate([each.score for each in found]),
            np.concatenate([each.p_value for each in found]),
            {
                name: np.concatenate([each.components[name] for each in found])
                for name in self.component_names
            },
            np.concatenate(heat) if maps else None,
        )

    def predict(
        self, images: ImageInputs, *, fpr: float | None = None, threshold: float | None = None
    ) -> NDArray[np.bool_]:
        """Return which images are anomalous, bool ``[N]``.

        Args:
            images: One or many; see the class.
            fpr: The share of normal images that may be called anomalous; an image is anomalous
                if its p-value is at most *fpr*. By default :attr:`fpr`.
            threshold: A score instead; an image is anomalous if its score exceeds it.

        Raises:
            DataError: There are too few calibration images for so small a rate.
            UsageError: *fpr* is not between 0 and 1, or both are given.
        """
        return np.concatenate(
            [
                self._detector.predict(self._detector.score(pixels), fpr, threshold)
                for _, pixels in self._batches(images)
            ]
        )

    def reconstruct(self, images: ImageInputs) -> NDArray[np.uint8]:
        """Return G(E(x)) of each image at the networks' size, ``[N, H, W]`` or ``[N, H, W, C]``."""
        rebuilt = np.concatenate(
            [self._detector.reconstruct(pixels) for _, pixels in self._batches(images)]
        )
        return rebuilt[:, 0] if rebuilt.shape[1] == 1 else rebuilt.transpose(0, 2, 3, 1)

    def heatmaps(self, images: ImageInputs) -> NDArray[np.float32]:
        """Return where each image is anomalous, float32 ``[N, H, W]`` at the networks' size.

        About 0 is an ordinary pixel of a normal image, and 1 the threshold that at most a share
        of normal images, the detector's default false-positive rate, exceeds anywhere.

        Raises:
            UsageError: No score component of this detector has heatmaps.
        """
        return np.concatenate([self._maps(pixels) for _, pixels in self._batches(images)])

    def save(self, path: PathText) -> None:
        """Write the detector to one ``.safetensors`` file, which :func:`load` reads.

        The file is written whole or not at all.
        """
        header = self._header
        save_detector(
            Path(path),
            self._detector,
            config=header.config,
            class_names=header.class_names,
            normal_classes=header.normal_classes,
            preprocessing=header.preprocessing,
            fingerprint=header.fingerprint,
            plugin_versions=header.plugin_versions,
        )

    def _batches(self, images: ImageInputs) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
        shape, nothing = self.image_shape, True
        options = DecodeOptions.of(self._header.config.data)
        for batch in image_batches(images, shape, options):
            nothing = False
            yield batch
        if nothing:
            yield [], np.empty((0, shape.channels, shape.height, shape.width), np.uint8)

    def _maps(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        maps = self._detector.heatmaps(pixels)
        if maps is None:
            raise UsageError("no score component of this detector has heatmaps")
        return maps

    def __reduce__(self) -> tuple[object, ...]:
        # As a model file: the classes of plugin files could not be imported by their names.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "model.safetensors")
            self.save(file)
            device = str(next(self._detector.members[0].networks.parameters()).device)
            return _from_bytes, (file.read_bytes(), device, self._plugins)


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
        raise DataError(f"no such folder: {os.fspath(data)}", "give a folder, or several images")
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
        plugins: Plugin files to load besides those of the run.

    Raises:
        RunDirectoryError: There is no such run, or no such checkpoint in it.
        DeviceError: There is no such device.
        DataError: The file is damaged or is not a model file.
        PluginError: A plugin that the model needs is missing.
    """
    path = Path(run).expanduser()
    file = path if path.is_file() else RunDirectory.open(path).model_file(checkpoint)
    return _load(file, device, [Path(plugin) for plugin in plugins])


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


def _load(file: Path, device: str, plugins: Sequence[Path]) -> Detector:
    model = load_model(file, device, plugins, Callbacks())
    return Detector(model.detector, model.header, plugins)


def _from_bytes(content: bytes, device: str, plugins: Sequence[Path]) -> Detector:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder, "model.safetensors")
        file.write_bytes(content)
        return _load(file, device, plugins)
