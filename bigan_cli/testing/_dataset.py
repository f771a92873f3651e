"""The checks of a dataset: its items, their labels and their pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import DataLocation, Dataset, Items
from bigan_cli.data.image_pool import ImagePool
from bigan_cli.data.splits import make_splits
from bigan_cli.errors import BiganError, DataError, UsageError
from bigan_cli.locations.cache_folder import cache_root
from bigan_cli.plugins.registry import DATASET
from bigan_cli.scoring.calibration import check_fpr
from bigan_cli.testing._checks import (
    ContractViolation,
    NotApplicable,
    cached_fixture,
    check,
    require,
    shorten,
)
from bigan_cli.testing._items import (
    check_fields,
    check_lazy,
    check_native_shape,
    check_readable,
    check_sides,
    check_threads,
    same_items,
    shared_images,
)
from bigan_cli.testing._plugin import PluginKit


class DatasetKit(PluginKit):
    """The checks of a dataset.

    Args:
        cls: The dataset.
        options: Its options, as in a config file.
        root: The folder with its files; None for the data cache of this machine.
        download: Whether it may download missing files.
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

    @cached_fixture
    def _opened(self) -> tuple[Dataset, dict[str, Items]]:
        dataset = self._open()
        try:
            items = {"train": dataset.train_items(), "test": dataset.test_items()}
        except (DataError, UsageError) as error:
            if self.root is not None:
                raise ContractViolation(
                    f"its data in {self.root} cannot be read: {error.message}"
                ) from error
            raise NotApplicable(f"its data are missing: {error.message}") from error
        for split, found in items.items():
            require(
                isinstance(found, Items),
                f"{split}_items() returned {type(found).__name__}, not Items",
            )
        return dataset, items

    @check
    def preset_is_valid(self) -> str:
        """Its preset has valid keys and values of a config file."""
        tables = {name: dict(table) for name, table in self.cls.preset.items()}
        tables.setdefault("data", {})["dataset"] = self.cls.name
        try:
            RunConfig.model_validate_json(json.dumps(tables))
        except ValueError as error:
            raise ContractViolation(f"the preset {dict(self.cls.preset)}: {error}") from error
        return "" if self.cls.preset else "it has none"

    @check
    def constructor_opens_nothing(self) -> str:
        """The constructor neither reads nor writes files; only the methods do."""
        with TemporaryDirectory() as folder:
            self.cls(self.options, DataLocation(Path(folder) / "missing", download=False))
            left = [path.name for path in Path(folder).rglob("*")]
        require(not left, f"the constructor wrote {shorten(left)} into the data folder")
        return ""

    @check
    def missing_files_are_reported(self) -> str:
        """If its files are missing, it raises a DataError."""
        with TemporaryDirectory() as folder:
            try:
                self.cls(self.options, DataLocation(Path(folder), download=False)).train_items()
            except (DataError, UsageError) as error:
                text = error.message
            except BiganError as error:
                text = f"{type(error).__name__}: {error.message}"
            else:
                return "it needs no files in the data folder"
        require(bool(text.strip()) and "\n" not in text, f"not one line of text: {text!r}")
        return text.replace(folder, "FOLDER")

    @check
    def classes_are_named(self) -> str:
        """Its classes have distinct names, and the normal classes are among them."""
        dataset, _ = self._opened
        names: Any = dataset.classes()
        good = isinstance(names, tuple | list) and all(isinstance(n, str) and n for n in names)
        require(good and bool(names), f"classes() returned {names!r}, not a tuple of names")
        require(len(set(names)) == len(names), f"classes() repeats a name: {shorten(names, 20)}")
        fixed = self.cls.class_names
        require(
            fixed is None or tuple(names) == fixed,
            f"classes() returned {shorten(names, 20)}, "
            f"but class_names is {shorten(fixed or (), 20)}",
        )
        normal: Any = dataset.normal_classes()
        if normal is not None:
            inside = all(isinstance(k, int) and 0 <= k < len(names) for k in normal)
            require(bool(normal) and inside, f"normal_classes() returned {normal!r}")
        return shorten(names, 5)

    @check
    def has_images_to_train_on(self) -> str:
        """Its training split is not empty."""
        _, items = self._opened
        counts = {split: len(found) for split, found in items.items()}
        require(counts["train"] > 0, "train_items() is empty")
        return f"{counts['train']} images to train on, {counts['test']} in the test split"

    @check
    def fields_agree(self) -> str:
        """Images, labels, masks and names have equal lengths and the right types."""
        _, items = self._opened
        for split, found in items.items():
            check_fields(split, found)
        return ""

    @check
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
        require(not absent, f"no image of the normal class {shorten(absent)} is in the train split")
        return f"{classes} classes"

    @check
    def is_lazy(self) -> str:
        """Images are decoded when they are accessed, not all at once."""
        _, items = self._opened
        return shorten(f"{split}: {check_lazy(split, found)}" for split, found in items.items())

    @check
    def images_can_be_read(self) -> str:
        """Images of every mode it has can be read as grey, RGB and RGBA."""
        _, items = self._opened
        counts = [check_readable(split, found) for split, found in items.items()]
        return f"{sum(counts)} images checked"

    @check
    def images_come_from_any_thread(self) -> str:
        """Images and masks are the same when several threads index them at the same time."""
        _, items = self._opened
        for split, found in items.items():
            check_threads(split, found)
        return ""

    @check
    def images_are_large_enough(self) -> str:
        """Images are 8 pixels a side or more."""
        _, items = self._opened
        for split, found in items.items():
            check_sides(split, found)
        return ""

    @check
    def declared_shape_is_true(self) -> str:
        """Its images have the size and channels that it declares."""
        _, items = self._opened
        shape = self.cls.image_shape
        if shape is None:
            return "it declares none"
        for split, found in items.items():
            check_native_shape(split, found, shape)
        return str(shape)

    @check
    def is_deterministic(self) -> str:
        """Opened again, it returns the same images and labels in the same order."""
        _, items = self._opened
        again = self._open()
        for split, second in (("train", again.train_items()), ("test", again.test_items())):
            differs = same_items(items[split], second)
            require(not differs, f"the {split} split opened again: {differs}")
        return ""

    @check
    def splits_are_apart(self) -> str:
        """The test split does not repeat the training split."""
        _, items = self._opened
        if not len(items["test"]):
            return "it has no test split of its own"
        count = shared_images(items["train"], items["test"])
        total = len(items["test"])
        # Real datasets repeat a few images; bigan reports those in every run.
        require(
            count <= total // 20,
            f"{count} of {total} test images are in the train split too",
        )
        return f"{count} of {total} images are shared" if count else ""

    def _may_cross_fit(self, data: Mapping[str, Any]) -> bool:
        """Return whether all normal images may set the threshold, as with networks on features."""
        architecture = self.cls.preset.get("model", {}).get("architecture", "")
        held_out = bool(data.get("calibration", "held-out") == "held-out")
        return architecture == "features" or not held_out

    @check
    def a_run_can_be_split(self) -> str:
        """With default settings there are enough normal images to train and calibrate."""
        dataset, _ = self._opened
        tables = {**dict(self.cls.preset.get("data", {})), "dataset": self.cls.name}
        config = RunConfig.model_validate_json(json.dumps({"data": tables})).data
        try:
            pool = ImagePool.of(dataset)
            splits = make_splits(pool.labels, config, seed=0)
            if not self._may_cross_fit(tables):
                check_fpr(RunConfig().score.fpr, len(splits.calibration))
        except BiganError as error:
            raise ContractViolation(error.message) from error
        normal = shorten(pool.labels.class_names[k] for k in splits.normal_classes)
        parts = f"{len(splits.train)} train, {len(splits.validation)} validation"
        return f"normal is {normal}: {parts}, {len(splits.calibration)} calibration"
