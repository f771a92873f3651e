"""Images that a run was not trained on, as a test set for it."""

from __future__ import annotations

import numpy as np

from bigan_cli.config.schema import DataConfig
from bigan_cli.contracts import Dataset, ImageShape
from bigan_cli.data.image_file import DecodeOptions
from bigan_cli.data.pool import ImagePool, Progress
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
    """Return every image of the test split of *dataset*; of all of it where it has no such split.

    Its fingerprint is empty: there is no run that it could be compared with.

    Args:
        dataset: Not the one the run was trained on.
        config: Says which classes are normal; nothing is set aside for training.
        shape: The model's. Images of no fixed size are brought to it.
        workers: Threads that decode; 0 for one a core, at most 8.
        progress: Told (images done, images in all) while files are decoded.

    Raises:
        UsageError: The images of *dataset* have a fixed shape, and it is another one; or nothing
            says which of its classes are normal.
        DataError: Images are missing or unreadable.
        PluginError: The dataset breaks its contract.
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
