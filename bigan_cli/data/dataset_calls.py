"""Calls to a dataset's methods, with what they return checked against the contract.

Each raises a :class:`~bigan_cli.errors.PluginError` that names the dataset where its code fails,
or returns what it may not. Images and masks are checked when they are indexed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bigan_cli.contracts import CHANNELS, Dataset, Items
from bigan_cli.plugins.faults import plugin_fault, plugin_faults, returned

_PIXELS = (np.dtype(np.uint8), np.dtype(np.uint16))


def items(dataset: Dataset, method: Literal["train_items", "test_items"]) -> Items:
    """Return what *method* gives, with images and masks that are checked when indexed.

    Raises:
        DataError: The files are missing or cannot be read.
    """
    with plugin_faults(dataset, f"{method}()"):
        found: Any = getattr(dataset, method)()
    if not isinstance(found, Items):
        raise plugin_fault(dataset, f"{method}() returned {returned(found)}, not Items")
    if found.labels.ndim != 1:
        raise plugin_fault(dataset, f"{method}() has labels {returned(found.labels)}, not [N]")
    _check_lengths(dataset, method, found)
    images: Any = found.images
    if isinstance(images, np.ndarray):
        deep = images.ndim == 4 and images.shape[3] in CHANNELS
        if images.dtype not in _PIXELS or not (images.ndim == 3 or deep):
            raise plugin_fault(
                dataset,
                f"{method}() has images {returned(images)}, not uint8 [N, H, W] or [N, H, W, C]",
            )
    elif not _are_paths(images):
        images = _Checked(dataset, f"{method}().images", images, optional=False)
    if found.blocks is not None:
        _check_blocks(dataset, method, found)
    masks: Any = found.masks
    if masks is not None:
        masks = _Checked(dataset, f"{method}().masks", masks, optional=True)
    return replace(found, images=images, masks=masks)


def _check_lengths(dataset: Dataset, method: str, found: Items) -> None:
    lengths = {"images": found.images, "masks": found.masks, "names": found.names}
    for what, sequence in lengths.items():
        if sequence is None:
            continue
        if not hasattr(sequence, "__len__") or not hasattr(sequence, "__getitem__"):
            raise plugin_fault(
                dataset, f"{method}() has {what} {returned(sequence)}, not a sequence"
            )
        if len(sequence) != len(found.labels):
            raise plugin_fault(
                dataset,
                f"{method}() returned {len(sequence)} {what} for {len(found.labels)} labels",
            )


def _check_blocks(dataset: Dataset, method: str, found: Items) -> None:
    blocks = found.blocks
    assert blocks is not None  # noqa: S101  checked by the caller
    bounds: Any = blocks.bounds
    whole = (
        isinstance(bounds, np.ndarray)
        and bounds.ndim == 1
        and len(bounds) == len(blocks.digests) + 1 == len(blocks.versions) + 1
        and (bounds[0], bounds[-1]) == (0, len(found))
        and bool((np.diff(bounds) > 0).all())
    )
    if not whole:
        raise plugin_fault(
            dataset, f"{method}() has blocks that are not consecutive runs of all its images"
        )


def check_labels(dataset: Dataset, found: Items, classes: int) -> None:
    """Refuse labels that are no classes."""
    if len(found) and not 0 <= int(found.labels.min()) <= int(found.labels.max()) < classes:
        raise plugin_fault(
            dataset,
            f"it returned labels {found.labels.min()} to {found.labels.max()} "
            f"for {classes} classes",
        )


def classes(dataset: Dataset) -> tuple[str, ...]:
    """Return the class names."""
    with plugin_faults(dataset, "classes()"):
        names: Any = dataset.classes()
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise plugin_fault(dataset, f"classes() returned {returned(names)}, not a tuple of names")
    return tuple(names)


def normal_classes(dataset: Dataset, count: int) -> tuple[int, ...] | None:
    """Return which of *count* classes the dataset calls normal, or None."""
    with plugin_faults(dataset, "normal_classes()"):
        found: Any = dataset.normal_classes()
    if found is None:
        return None
    good = isinstance(found, tuple | list) and all(
        isinstance(label, int | np.integer) and 0 <= label < count for label in found
    )
    if not good:
        raise plugin_fault(
            dataset, f"normal_classes() returned {returned(found)}, not labels below {count}"
        )
    return tuple(int(label) for label in found)


def describe(dataset: Dataset) -> str:
    """Return how the dataset understood its files."""
    with plugin_faults(dataset, "describe()"):
        text: Any = dataset.describe()
    if not isinstance(text, str):
        raise plugin_fault(dataset, f"describe() returned {returned(text)}, not a text")
    return text


def warnings(dataset: Dataset) -> tuple[str, ...]:
    """Return what the dataset does not use, or what looks wrong in it."""
    with plugin_faults(dataset, "warnings()"):
        found: Any = dataset.warnings()
    if not isinstance(found, tuple | list) or not all(isinstance(text, str) for text in found):
        raise plugin_fault(dataset, f"warnings() returned {returned(found)}, not texts")
    return tuple(found)


def _are_paths(images: Any) -> bool:
    """Return whether *images* is a plain list of paths, which cannot fail later."""
    return isinstance(images, list | tuple) and all(isinstance(each, Path) for each in images)


class _Checked(Sequence[Any]):
    """A plugin's sequence of images or masks, each checked when it is indexed."""

    def __init__(
        self, dataset: Dataset, name: str, sequence: Sequence[Any], *, optional: bool
    ) -> None:
        self._dataset = dataset
        self._name = name
        self._sequence = sequence
        self._optional = optional

    def __len__(self) -> int:
        return len(self._sequence)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            with plugin_faults(self._dataset, f"{self._name}[{index.start}:{index.stop}]"):
                return [self._checked(each, index.start) for each in self._sequence[index]]
        if not -len(self) <= index < len(self):  # the end, for whoever iterates
            raise IndexError(index)
        with plugin_faults(self._dataset, f"{self._name}[{index}], in one of several threads"):
            found = self._sequence[index]
        return self._checked(found, index)

    def _checked(self, found: Any, index: Any) -> Any:
        """Return *found*, or raise an error that it is no image or mask."""
        for part in found if self._optional and isinstance(found, tuple) else (found,):
            if not self._is_picture(part):
                raise plugin_fault(
                    self._dataset,
                    f"{self._name}[{index}] is {returned(found)}, not a pathlib.Path, bytes, a PIL "
                    "image or a uint8 array",
                )
        return found

    def _is_picture(self, value: object) -> bool:
        if isinstance(value, Path) or (isinstance(value, bytes) and not self._optional):
            return True
        if isinstance(value, np.ndarray):
            return self._optional or value.dtype in _PIXELS
        if value is None:
            return self._optional
        from PIL import Image

        return isinstance(value, Image.Image)
