"""Preparation of the images of a run: decoding, resizing, splitting, leakage check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bigan_cli.config.schema import LARGEST_INPUT, DataConfig, RunConfig
from bigan_cli.contracts import Dataset, ImageShape, Items
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.find_shape import find_aspect_shape, find_shape, find_tiled_shape
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_pool import ImagePool, Progress
from bigan_cli.data.image_set import ImageSet
from bigan_cli.data.image_stream import ImageStream
from bigan_cli.data.leakage import LeakageReport, audit_splits, content_digests
from bigan_cli.data.read_region import read_region
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.splits import Splits, make_splits
from bigan_cli.data.streamed_parts import bounded_parts, make_stream, streamable
from bigan_cli.data.tiles import Tiling
from bigan_cli.errors import UsageError
from bigan_cli.locations.cache_folder import cache_root
from bigan_cli.plugins.instances import make_dataset

if TYPE_CHECKING:
    from bigan_cli.plugins import Registry

PARTS = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class PreparedData:
    """All images of a run, and their provenance.

    Attributes:
        dataset_name: Name of the dataset.
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        image_shape: Shape of every image.
        class_names: Class names by label.
        normal_classes: The labels that are normal under the protocol.
        train: Normal images to train on; with a *stream*, a sample of them.
        validation: Normal images to choose the epoch and to standardise the components.
        calibration: Normal images to set the threshold.
        test: Normal images and anomalies to evaluate on; empty without any.
        folds: With cross-fitting, the fold of each training image, int64 ``[N]``; train,
            validation and calibration are then the same images. None where they are disjoint.
        stream: All images to train on, where they are read again in every epoch; else None.
        roi: The region of interest; the pixels outside of it have one value in all images. None
            if whole images count.
        audit: The leakage check of these sets.
        fingerprint: SHA-256, in hex, of the pixels and anomaly labels of all four sets, of the
            digests of blocks and of the preprocessing; names and paths of files do not count.
        test_fingerprint: The same for the test set alone.
        config: The resolved configuration, with everything found here; it repeats the run.
        notes: How the dataset interpreted its files, and other notes for the user.
        warnings: Unused or suspicious files of the dataset.
    """

    dataset_name: str
    protocol: str
    image_shape: ImageShape
    class_names: tuple[str, ...]
    normal_classes: tuple[int, ...]
    train: ImageSet
    validation: ImageSet
    calibration: ImageSet
    test: ImageSet
    folds: NDArray[np.int64] | None
    stream: ImageStream | None
    roi: RegionOfInterest | None
    audit: LeakageReport
    fingerprint: str
    test_fingerprint: str
    config: RunConfig
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def tiling(self) -> Tiling | None:
        """How images are cut for the networks; None if these take whole images."""
        inside = None if self.roi is None else self.roi.inside
        return Tiling.of(self.image_shape, self.config.data.tile, inside)

    @property
    def input_shape(self) -> ImageShape:
        """What the networks take: whole images, or tiles."""
        return self.image_shape if self.tiling is None else self.tiling.tile


@dataclass(frozen=True)
class TestSet:
    """The test set of a run, the same as in training.

    Attributes:
        images: Normal images and anomalies; empty without any.
        class_names: Class names by label.
        normal_classes: The labels that are normal under the protocol.
        protocol: ``one-class``, ``leave-one-out`` or ``folder``.
        image_shape: Shape of every image.
        fingerprint: Equal to the run's ``test_fingerprint`` if the images are the same.
        notes: Notes for the user on how the set came about.
        warnings: Unused or suspicious files of the dataset.
    """

    images: ImageSet
    class_names: tuple[str, ...]
    normal_classes: tuple[int, ...]
    protocol: str
    image_shape: ImageShape
    fingerprint: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def open_dataset(registry: Registry, config: DataConfig) -> Dataset:
    """Return the dataset that *config* names; no file is opened.

    Raises:
        PluginError: There is no such dataset, or its options are invalid.
        UsageError: It needs ``data.root`` and there is none.
    """
    return make_dataset(registry, config, cache_root() / "data")


def prepare(
    dataset: Dataset,
    config: RunConfig,
    workers: int = 0,
    progress: Progress | None = None,
) -> PreparedData:
    """Decode, resize and split the images of a run, and check for leakage.

    Args:
        dataset: From :func:`open_dataset`.
        config: The run's configuration.
        workers: Number of threads; 0 for one per core, at most 8.
        progress: Called with (images done, total) while files are decoded.

    Raises:
        DataError: Images are missing, unreadable or too few.
        UsageError: The options contradict each other or name an unknown class.
        PluginError: The dataset violates its contract.
    """
    pool = ImagePool.of(dataset, DecodeOptions.of(config.data), config.data.exclude)
    options = DecodeOptions.of(config.data)
    blocks = pool.train.blocks
    given = config.data if blocks is None else streamable(config.data)
    splits = make_splits(pool.labels, given, config.train.seed)
    shape = _shape(dataset, config.data, pool.train)
    roi = read_region(config.data.roi, pool.train, shape, options)
    parts = {name: getattr(splits, name) for name in PARTS}
    if blocks is not None:
        parts |= bounded_parts(parts, shape, config.train.seed)
    if splits.folds is not None:  # they are the training images
        del parts["validation"], parts["calibration"]
    loaded = pool.image_sets(
        list(parts.values()), splits.normal_classes, shape, workers, progress, roi
    )
    sets = dict(zip(parts, loaded, strict=True))
    stream = None
    if blocks is not None:
        sample = sets["train"].pixels
        chosen, data = splits.train, config.data
        stream = make_stream(pool.train, chosen, options, data, sample, roi, workers)
    digests = {name: content_digests(images.pixels) for name, images in sets.items()}
    audit = audit_splits(sets, digests)
    folds = None if splits.folds is None else _joined(splits.folds, digests["train"])
    return PreparedData(
        dataset.name,
        splits.protocol,
        shape,
        tuple(pool.labels.class_names),
        splits.normal_classes,
        train=sets["train"],
        validation=sets.get("validation", sets["train"]),
        calibration=sets.get("calibration", sets["train"]),
        test=sets["test"],
        folds=folds,
        stream=stream,
        roi=roi,
        audit=audit,
        fingerprint=_fingerprint(shape, sets, digests, () if blocks is None else blocks.digests),
        test_fingerprint=_fingerprint(shape, {"test": sets["test"]}, digests),
        config=_written_in(config, splits, shape, pool.labels.class_names),
        notes=(*pool.notes(), *splits.notes, *audit.notes()),
        warnings=(*pool.warnings, *pool.left_out()),
    )


def reopen_test(
    dataset: Dataset,
    config: RunConfig,
    workers: int = 0,
    progress: Progress | None = None,
    roi: RegionOfInterest | None = None,
) -> TestSet:
    """Return the test set of a run from its resolved configuration; nothing else is decoded.

    Args:
        dataset: From :func:`open_dataset`.
        config: The run's configuration.
        workers: Number of threads; 0 for one per core, at most 8.
        progress: Called with (images done, total) while files are decoded.
        roi: The run's region of interest.

    Raises:
        DataError: Images are missing or unreadable.
        UsageError: The configuration does not fit the dataset.
        PluginError: The dataset violates its contract.
    """
    pool = ImagePool.of(dataset, DecodeOptions.of(config.data), config.data.exclude)
    splits = make_splits(pool.labels, config.data, config.train.seed)
    shape = _shape(dataset, config.data, pool.train)
    (images,) = pool.image_sets([splits.test], splits.normal_classes, shape, workers, progress, roi)
    fingerprint = _fingerprint(shape, {"test": images}, {"test": content_digests(images.pixels)})
    return TestSet(
        images,
        tuple(pool.labels.class_names),
        splits.normal_classes,
        splits.protocol,
        shape,
        fingerprint,
        (*pool.notes(), *splits.notes),
        pool.warnings,
    )


def reopen_normals(
    dataset: Dataset,
    config: RunConfig,
    *,
    samples: int,
    most: int,
    shape: ImageShape,
    roi: RegionOfInterest | None,
) -> tuple[ImageSet, ImageSet]:
    """Return some training images of a run, and its calibration images.

    Args:
        dataset: From :func:`open_dataset`.
        config: The run's resolved configuration.
        samples: How many training images, drawn at random with the run's seed.
        most: Largest number of calibration images; of more, this many are drawn at random.
        shape: Shape of the images.
        roi: The run's region of interest.

    Raises:
        DataError: Images are missing or unreadable.
        UsageError: The configuration does not fit the dataset.
        PluginError: The dataset violates its contract.
    """
    pool = ImagePool.of(dataset, DecodeOptions.of(config.data), config.data.exclude)
    splits = make_splits(pool.labels, config.data, config.train.seed)
    rng = np.random.default_rng(config.train.seed)
    parts = [
        np.sort(rng.permutation(part)[:number])
        for part, number in ((splits.train, samples), (splits.calibration, most))
    ]
    training, calibration = pool.image_sets(parts, splits.normal_classes, shape, roi=roi)
    return training, calibration


def _shape(dataset: Dataset, config: DataConfig, train: Items) -> ImageShape:
    """Return the configured shape, else the dataset's, else that of the images."""
    size, channels = config.image_size, config.input_channels
    native = dataset.image_shape
    if config.tile is not None and not isinstance(size, tuple):
        return find_tiled_shape(train, size, channels, DecodeOptions.of(config))
    if native is None and config.keep_aspect and isinstance(size, int):
        shape = find_aspect_shape(train, size, channels, DecodeOptions.of(config))
    elif native is None:
        shape = find_shape(train, size, channels, DecodeOptions.of(config))
    else:
        own = (native.height, native.width)
        height, width = (size, size) if isinstance(size, int) else size or own
        shape = ImageShape(channels or native.channels, height, width)
    if config.tile is None and max(shape.height, shape.width) > LARGEST_INPUT:
        raise UsageError(
            f"'data.image_size' is {shape.height}x{shape.width}, but networks take images of up "
            f"to {LARGEST_INPUT} pixels a side",
            "choose a smaller one, or 'data.tile=256' to look at full-size images tile by tile",
        )
    return shape


def _joined(folds: NDArray[np.int64], digests: Sequence[bytes]) -> NDArray[np.int64]:
    """Return *folds* with copies of an image in one fold: none is scored by what it trained."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(d, int(f)) for f, d in zip(folds, digests, strict=True)])


def _fingerprint(
    shape: ImageShape,
    sets: Mapping[str, ImageSet],
    digests: Mapping[str, Sequence[bytes]],
    blocks: Sequence[str] = (),
) -> str:
    described = hashlib.sha256(json.dumps([PREPROCESSING, str(shape)]).encode())
    for name, images in sets.items():
        described.update(f"{name} {len(images)}\n".encode())
        described.update(images.outlier.tobytes())
        for digest in digests[name]:
            described.update(digest)
    for block in blocks:
        described.update(block.encode())
    return described.hexdigest()


def _written_in(
    config: RunConfig, splits: Splits, shape: ImageShape, class_names: Sequence[str]
) -> RunConfig:
    """Return *config* with the settings found here; given settings are unchanged."""
    given = config.data
    size = shape.height if shape.height == shape.width else (shape.height, shape.width)
    found_here = not isinstance(given.image_size, tuple) and (
        given.image_size is None or given.tile is not None or given.keep_aspect
    )
    normal = tuple(class_names[k] for k in splits.normal_classes)
    found = {
        "protocol": splits.protocol,
        "inlier": given.inlier if given.inlier or given.outlier else normal,
        "image_size": size if found_here else given.image_size,
        "input_channels": shape.channels,
        "exclude": given.exclude and given.exclude.absolute(),
        "calibration": "held-out" if splits.folds is None else "cross-fitting",
    }
    return config.model_copy(update={"data": given.model_copy(update=found)})
