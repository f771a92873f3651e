"""A trained detector, for images in any container: files, PIL images, arrays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.config.load import LoadedConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_inputs import ImageInputs, image_batches
from bigan_cli.errors import UsageError
from bigan_cli.scoring.detector import Detector as FittedDetector
from bigan_cli.scoring.detector import Scores
from bigan_cli.storage.model_file import make_header, save_like
from bigan_cli.storage.model_header import ModelHeader
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.models import load_model

if TYPE_CHECKING:
    from bigan_cli.workflows.export import ExportResult

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
            unless requested.
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

    @classmethod
    def from_file(cls, file: Path, device: str, plugins: Sequence[Path] = ()) -> Detector:
        """Return the detector in a model file; it raises what :func:`bigan_cli.load` raises."""
        model = load_model(file, device, plugins, Callbacks())
        return cls(model.detector, model.header, plugins)

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
            UsageError: *fpr* is not between 0 and 1, or so small that there are too few
                calibration images.
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
            UsageError: *fpr* is not between 0 and 1, or so small that there are too few
                calibration images; or both are given.
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
        save_like(Path(path), self._detector, self._header)

    def export(
        self,
        path: PathText,
        images: ImageInputs | None = None,
        *,
        fpr: float | None = None,
        runner: bool = False,
    ) -> ExportResult:
        """Write the detector as one file that runs without bigan.

        The file takes uint8 images ``[N, H, W, C]`` of :attr:`image_shape` and returns score,
        p_value, label, components and heatmap; see :class:`bigan_cli.export.graph.DetectorGraph`.
        Nothing is written if it differs from the detector on *images*: by more than 1e-4 in a
        score, relative to max(1, score), or in any label.

        Args:
            path: A ``.onnx`` file, which needs the extra ``export``, or ``.pt2`` of torch.export.
            images: Normal images to compare the two on, see the class; at most 1,000 are used. By
                default the calibration images, read again from where the run found them.
            fpr: The false-positive rate of the labels and of the heatmaps' unit; by default
                :attr:`fpr`.
            runner: Whether to write programs that run the ONNX file next to it.

        Raises:
            UsageError: A package is missing, or the model cannot be exported.
            DataError: The exported model differs from the detector, or there are no images to
                compare the two on.
        """
        from bigan_cli.workflows.export import export_model

        with tempfile.TemporaryDirectory() as folder:
            # As a model file, which is loaded onto the CPU: that is where it is exported.
            file = Path(folder, "model.safetensors")
            self.save(file)
            return export_model(
                run=Path(folder),
                checkpoint=os.fspath(file),
                plugins=self._plugins,
                output=Path(path),
                fpr=fpr,
                images=images,
                runner=runner,
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


def _from_bytes(content: bytes, device: str, plugins: Sequence[Path]) -> Detector:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder, "model.safetensors")
        file.write_bytes(content)
        return Detector.from_file(file, device, plugins)
