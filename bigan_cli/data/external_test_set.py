"""A dataset other than the run's as its test set."""

from __future__ import annotations

import numpy as np

from bigan_cli.config.schema import DataConfig
from bigan_cli.contracts import Dataset, ImageShape
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.image_pool import ImagePool, Progress
from bigan_cli.data.prepare import TestSet
from bigan_cli.data.splits import resolve_protocol
from bigan_cli.errors import UsageError


def load_external_test_set(
    dataset: Dataset,
    config: DataConfig,
    shape: ImageShape,
    workers: int = 0,
    progress: Progress | None = None,
) -> TestSet:
    """Return all images of the test split of *dataset*, or of both splits if it has none.

    The fingerprint is empty: there is none in the run to compare with.

    Args:
        dataset: A dataset other than the run's.
        config: Defines the normal classes; nothing is set aside for training.
        shape: The model's shape, to which images are resized.
        workers: Number of threads; 0 for one per core, at most 8.
        progress: Called with (images done, total) while files are decoded.

    Raises:
        UsageError: The images of *dataset* have a fixed shape, and a different one; or its normal
            classes are not known.
        DataError: Images are missing or unreadable.
        PluginError: The dataset violates its contract.
    """
    native = dataset.image_shape
    if native is not None and native != shape:
        raise UsageError(f"model expects {shape}, {dataset.name} gives {native}")
    pool = ImagePool.of(dataset, DecodeOptions.of(config))
    protocol, normal_classes = resolve_protocol(pool.labels, config)
    if protocol == "one-class" and not config.inlier:
        raise UsageError(
            f"which classes of {dataset.name} are normal for this model is not known",
            "name them with --inlier, or the anomalous ones with --outlier",
        )
    train, test = len(pool.train), len(pool.test)
    chosen = np.arange(train, train + test) if test else np.arange(train)
    (images,) = pool.image_sets([chosen], normal_classes, shape, workers, progress)
    return TestSet(
        images,
        tuple(pool.labels.class_names),
        normal_classes,
        protocol,
        shape,
        fingerprint="",
        notes=pool.notes(),
        warnings=pool.warnings,
    )
