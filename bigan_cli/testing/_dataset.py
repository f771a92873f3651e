"""What a dataset promises: its items, their labels and their pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import DataLocation, Dataset, Items
from bigan_cli.data.cache import cache_root
from bigan_cli.data.pool import ImagePool
from bigan_cli.data.splits import make_splits
from bigan_cli.errors import BiganError, DataError
from bigan_cli.plugins.registry import DATASET
from bigan_cli.testing._checks import (
    ContractViolation,
    NotApplicable,
    few,
    prepared,
    promise,
    require,
)
from bigan_cli.testing._items import (
    check_fields,
    check_lazy,
    check_native_shape,
    check_readable,
    same_items,
    shared_images,
)
from bigan_cli.testing._plugin import PluginKit


class DatasetKit(PluginKit):
    """The checks of a dataset.

    Args:
        cls: The dataset.
        options: Its options, as a config file would give them.
        root: The folder with its files; the data cache of this machine where None.
        download: Whether it may fetch files that are missing.
    """

    kind = DATASET

    def __init__(
        self,
        cls: type[Dataset],
        options: Mapping[str, Any] | None,
        root: Path | None,
        *,
        download: bool,
    ) -> None:
        super().__init__(cls, options)
        self.root = root
        self.download = download

    def _open(self) -> Dataset:
        if self.root is None and self.cls.needs_root:
            raise NotApplicable("it needs a folder with images: --data-root, or root in a test")
        root = cache_root() / "data" if self.root is None else self.root
        dataset: Dataset = self.cls(self.options, DataLocation(root, self.download))
        return dataset

    @prepared
    def _opened(self) -> tuple[Dataset, dict[str, Items]]:
        dataset = self._open()
        try:
            items = {"train": dataset.train_items(), "test": dataset.test_items()}
        except DataError as error:
            if self.root is not None:
                raise ContractViolation(
                    f"its data in {self.root} cannot be read: {error.message}"
                ) from (error)
            raise NotApplicable(f"its data are not here: {error.message}") from error
        for split, found in items.items():
            require(
                isinstance(found, Items),
                f"{split}_items() returned {type(found).__name__}, not Items",
            )
        return dataset, items

    @promise
    def preset_is_valid(self) -> str:
        """Its preset holds keys and values of a config file."""
        tables = {name: dict(table) for name, table in self.cls.preset.items()}
        tables.setdefault("data", {})["dataset"] = self.cls.name
        try:
            RunConfig.model_validate_json(json.dumps(tables))
        except ValueError as error:
            raise ContractViolation(f"the preset {dict(self.cls.preset)}: {error}") from error
        return "" if self.cls.preset else "it has none"

    @promise
    def opens_nothing_when_made(self) -> str:
        """Making it neither reads nor writes; only its methods do."""
        with TemporaryDirectory() as folder:
            self.cls(self.options, DataLocation(Path(folder) / "missing", download=False))
            left = [path.name for path in Path(folder).rglob("*")]
        require(not left, f"making it wrote {few(left)} into the data folder")
        return ""

    @promise
    def missing_files_are_told(self) -> str:
        """Where its files are missing, it says so with a DataError."""
        with TemporaryDirectory() as folder:
            try:
                self.cls(self.options, DataLocation(Path(folder), download=False)).train_items()
            except DataError as error:
                told = error.message
            except BiganError as error:
                told = f"{type(error).__name__}: {error.message}"
            else:
                return "it needs no files in the data folder"
        require(bool(told.strip()) and "\n" not in told, f"not one line of text: {told!r}")
        return told.replace(folder, "FOLDER")

    @promise
    def classes_are_named(self) -> str:
        """Its classes have distinct names, and those that are normal are among them."""
        dataset, _ = self._opened
        names: Any = dataset.classes()
        good = isinstance(names, tuple | list) and all(isinstance(n, str) and n for n in names)
        require(good and bool(names), f"classes() returned {names!r}, not a tuple of names")
        require(len(set(names)) == len(names), f"classes() repeats a name: {few(names, 20)}")
        fixed = self.cls.class_names
        require(
            fixed is None or tuple(names) == fixed,
            f"classes() returned {few(names, 20)}, and class_names are {few(fixed or (), 20)}",
        )
        normal: Any = dataset.normal_classes()
        if normal is not None:
            inside = all(isinstance(k, int) and 0 <= k < len(names) for k in normal)
            require(bool(normal) and inside, f"normal_classes() returned {normal!r}")
        return few(names, 5)

    @promise
    def has_images_to_train_on(self) -> str:
        """Its training split is not empty."""
        _, items = self._opened
        counts = {split: len(found) for split, found in items.items()}
        require(counts["train"] > 0, "train_items() is empty")
        return f"{counts['train']} images to train on, {counts['test']} in the test split"

    @promise
    def fields_agree(self) -> str:
        """Images, labels, masks and names are equally many and of the right kinds."""
        _, items = self._opened
        for split, found in items.items():
            check_fields(split, found)
        return ""

    @promise
    def labels_are_classes(self) -> str:
        """Every label is the index of a class, and every normal class has images to train on."""
        dataset, items = self._opened
        classes = len(dataset.classes())
        for split, found in items.items():
            if len(found):
                low, high = int(found.labels.min()), int(found.labels.max())
                require(
                    0 <= low <= high < classes,
                    f"the labels of the {split} split are {low} to {high} for {classes} classes",
                )
        present = set(np.unique(items["train"].labels).tolist())
        absent = [k for k in dataset.normal_classes() or () if k not in present]
        require(not absent, f"no image of the normal class {few(absent)} is in the train split")
        return f"{classes} classes"

    @promise
    def is_lazy(self) -> str:
        """Pictures are decoded when they are asked for, not all at once."""
        _, items = self._opened
        return few(f"{split}: {check_lazy(split, found)}" for split, found in items.items())

    @promise
    def images_can_be_read(self) -> str:
        """Images of every kind it holds can be read as grey, RGB and RGBA."""
        _, items = self._opened
        seen = [check_readable(split, found) for split, found in items.items()]
        return f"{sum(seen)} images looked at"

    @promise
    def image_shape_is_true(self) -> str:
        """Its images have the size and channels that it declares."""
        _, items = self._opened
        shape = self.cls.image_shape
        if shape is None:
            return "it declares none"
        for split, found in items.items():
            check_native_shape(split, found, shape)
        return str(shape)

    @promise
    def is_deterministic(self) -> str:
        """Opened again, it gives the same images with the same labels in the same order."""
        _, items = self._opened
        again = self._open()
        for split, second in (("train", again.train_items()), ("test", again.test_items())):
            differs = same_items(items[split], second)
            require(not differs, f"the {split} split opened again: {differs}")
        return ""

    @promise
    def splits_are_apart(self) -> str:
        """The test split does not repeat the training split."""
        _, items = self._opened
        if not len(items["test"]):
            return "it has no test split of its own"
        count = shared_images(items["train"], items["test"])
        total = len(items["test"])
        # Real collections repeat a few pictures; bigan reports those at every run.
        require(
            count <= total // 20,
            f"{count} of {total} test images are in the train split too",
        )
        return f"{count} of {total} images are shared" if count else ""

    @promise
    def a_run_can_be_split(self) -> str:
        """With no further options, there are enough normal images to train and calibrate."""
        dataset, _ = self._opened
        tables = {**dict(self.cls.preset.get("data", {})), "dataset": self.cls.name}
        config = RunConfig.model_validate_json(json.dumps({"data": tables})).data
        try:
            pool = ImagePool.of(dataset)
            splits = make_splits(pool.labels, config, seed=0)
        except BiganError as error:
            raise ContractViolation(error.message) from error
        normal = few(pool.labels.class_names[k] for k in splits.normal_classes)
        parts = f"{len(splits.fit)} fit, {len(splits.validation)} validation"
        return f"normal is {normal}: {parts}, {len(splits.calibration)} calibration"
