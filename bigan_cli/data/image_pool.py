"""The pool of all images of a dataset: the train split, followed by the test split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar, overload

import numpy as np

from bigan_cli.contracts import Dataset, ImageShape, Items
from bigan_cli.data import dataset_calls
from bigan_cli.data.cache import cached
from bigan_cli.data.exclude import leave_out, read_exclusions
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions
from bigan_cli.data.image_set import ImageSet
from bigan_cli.data.load import (
    Advance,
    Index,
    Notices,
    Pixels,
    is_worth_caching,
    load_cached,
    load_items,
    name_of,
)
from bigan_cli.data.memory import resident_bytes
from bigan_cli.data.region_of_interest import RegionOfInterest
from bigan_cli.data.splits import Labels
from bigan_cli.data.unreadable import left_out_warning
from bigan_cli.errors import DataError
from bigan_cli.formatting import count

if TYPE_CHECKING:
    from bigan_cli.contracts import Mask, RawImage

    AnyMask: TypeAlias = Mask | tuple[Mask, ...]

Progress = Callable[[int, int], None]
T = TypeVar("T")

_ROWS = 4096


@dataclass(frozen=True)
class ImagePool:
    """The items of a dataset, and their labels for the protocols.

    Attributes:
        train: Items of the train split.
        test: Items of the test split.
        labels: Labels of both.
        options: How files are read.
        notices: Counts notes for the user on how images were read.
        unreadable: Why images are left out of :meth:`image_sets`, by their index; only of those
            that are stored in blocks. Others that cannot be read are an error.
        description: How the dataset interpreted its files, if it says so.
        warnings: Unused files, and suspicious ones.
    """

    train: Items
    test: Items
    labels: Labels
    options: DecodeOptions = DEFAULTS
    notices: Notices = field(default_factory=Counter)
    unreadable: dict[int, str] = field(default_factory=dict)
    description: str = ""
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, dataset: Dataset, options: DecodeOptions = DEFAULTS, exclude: Path | None = None
    ) -> ImagePool:
        """Return the pool of *dataset*, and check the contract of the dataset.

        Args:
            dataset: Of which the images are.
            options: How files are read.
            exclude: Lists images to leave out; see :func:`read_exclusions`.

        Raises:
            DataError: There are no training images, or *exclude* names no image of the dataset.
            PluginError: The contract is violated, or the dataset's code raises an exception.
        """
        train = dataset_calls.items(dataset, "train_items")
        test = dataset_calls.items(dataset, "test_items")
        names = dataset_calls.classes(dataset)
        for items in (train, test):
            dataset_calls.check_labels(dataset, items, len(names))
        if not len(train):
            raise DataError(
                f"the dataset {dataset.name} has no images to train on in {dataset.location.root}",
                "is that the right folder? --data-root FOLDER names another",
            )
        description, warnings = dataset_calls.describe(dataset), dataset_calls.warnings(dataset)
        if exclude is not None:
            train, test, note, more = _without(dataset, train, test, exclude)
            description = f"{description}; {note}" if description else note
            warnings = (*warnings, *more)
        labels = Labels(
            np.asarray(train.labels, np.int64),
            np.asarray(test.labels, np.int64),
            names,
            dataset_calls.normal_classes(dataset, len(names)),
            dataset.name,
        )
        return cls(
            train,
            test,
            labels,
            options,
            description=description,
            warnings=warnings,
        )

    def notes(self) -> tuple[str, ...]:
        """Return notes for the user on how files were interpreted and images read so far."""
        read = (f"{count(number, 'image')} {what}" for what, number in sorted(self.notices.items()))
        return (*((self.description,) if self.description else ()), *read)

    def left_out(self) -> tuple[str, ...]:
        """Return a warning of the images that were left out so far, if there are any."""
        found = [(name_of(self.train, i), why) for i, why in sorted(self.unreadable.items())]
        return (left_out_warning(found, "image"),) if found else ()

    def image_sets(
        self,
        parts: Sequence[Index],
        normal_classes: Sequence[int],
        shape: ImageShape,
        workers: int = 0,
        progress: Progress | None = None,
        roi: RegionOfInterest | None = None,
    ) -> list[ImageSet]:
        """Return the images of each of *parts*, which are indices into the pool.

        Images that are stored in blocks and cannot be read are left out of their part.

        Args:
            parts: Sorted and unique.
            normal_classes: The labels of normal images.
            shape: Shape of the images.
            workers: Number of threads; 0 for one per core, at most 8.
            progress: Called with (images done, total) while images are decoded.
            roi: The pixels outside of this region get one value.

        Raises:
            DataError: Some images cannot be read.
        """
        wanted = np.unique(np.concatenate(parts))
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done = min(done + count, len(wanted))
            if progress is not None:
                progress(done, len(wanted))

        blocks: list[_Block] = []
        for items, offset in ((self.train, 0), (self.test, len(self.train))):
            index = wanted[(wanted >= offset) & (wanted < offset + len(items))] - offset
            blocks += self._blocks(items, offset, index, shape, workers, advance)
        readable = [part[~np.isin(part, list(self.unreadable))] for part in parts]
        return [
            self._image_set(part, _gather(blocks, part, shape, roi), normal_classes)
            for part in readable
        ]

    def _blocks(
        self,
        items: Items,
        offset: int,
        index: Index,
        shape: ImageShape,
        workers: int,
        advance: Advance | None,
    ) -> list[_Block]:
        """Return the images at *index* of *items*, whose first is at *offset* in the pool.

        Large sets of files are cached per class, so the cache serves every choice of normal
        classes, every protocol and every seed.
        """
        if not len(index):
            return []
        arguments = (shape, workers, advance, self.options, self.notices)
        if not is_worth_caching(items, shape):
            unreadable = None if items.blocks is None else self.unreadable
            return [_Block(offset + index, load_items(items, index, *arguments, unreadable))]
        blocks = []
        for label in np.unique(items.labels[index]):
            members = np.flatnonzero(items.labels == label)
            blocks.append(_Block(offset + members, load_cached(items, members, *arguments)))
        return blocks

    def _image_set(self, part: Index, pixels: Pixels, normal_classes: Sequence[int]) -> ImageSet:
        labels = np.concatenate([self.labels.train, self.labels.test])[part]
        split = {"train": self.train, "test": self.test}
        places = [
            ("train", int(i)) if i < len(self.train) else ("test", int(i) - len(self.train))
            for i in part
        ]
        names: Sequence[str] = _Fetched(split, places, _name)
        if self.train.blocks is None:  # else each is read from where the image is
            names = list(names)
        known = any(split[name].masks is not None for name in {name for name, _ in places})
        masks = _Fetched(split, places, _mask) if known else None
        sources = _Fetched(split, places, _source)
        outlier = ~np.isin(labels, normal_classes)
        return ImageSet(pixels, labels, outlier, names, masks, sources)


@dataclass(frozen=True)
class _Block:
    """Some images of the pool: their indices in it, sorted, and their pixels."""

    places: Index
    pixels: Pixels

    def identity(self) -> bytes:
        """Return a unique identifier of the pixels."""
        if isinstance(self.pixels, np.memmap):  # a cached file is named after its content
            return Path(str(self.pixels.filename)).name.encode()
        return hashlib.sha256(np.ascontiguousarray(self.pixels).data).digest()


def _gather(
    blocks: Sequence[_Block], part: Index, shape: ImageShape, roi: RegionOfInterest | None
) -> Pixels:
    """Return the pixels at the indices *part* of the pool; in memory, if all blocks fit."""
    full = (len(part), shape.channels, shape.height, shape.width)

    def fill(out: Pixels) -> None:
        for block in blocks:
            rows = np.flatnonzero(np.isin(part, block.places))
            for some in np.array_split(rows, len(rows) // _ROWS + 1):
                pixels = block.pixels[np.searchsorted(block.places, part[some])]
                out[some] = pixels if roi is None else roi.fill(pixels)

    mapped = any(isinstance(block.pixels, np.memmap) for block in blocks)
    if mapped and sum(block.pixels.nbytes for block in blocks) > resident_bytes() and len(part):
        described = hashlib.sha256(part.tobytes())
        for block in blocks:
            described.update(block.identity())
        if roi is not None:
            described.update(np.packbits(roi.inside).tobytes())
        return cached(described.hexdigest(), full, fill)
    out = np.empty(full, np.uint8)
    fill(out)
    return out


def _name(items: Items, split: str, i: int) -> str:
    if items.names is not None:
        return items.names[i]
    # Indices are the same in both splits.
    return f"{split}/{i}"


def _mask(items: Items, _split: str, i: int) -> AnyMask | None:
    return None if items.masks is None else items.masks[i]


def _source(items: Items, _split: str, i: int) -> RawImage:
    return items.images[i]


class _Fetched(Sequence[T]):
    """Something of some images of the pool, fetched when indexed."""

    def __init__(
        self,
        split: Mapping[str, Items],
        places: Sequence[tuple[str, int]],
        fetch: Callable[[Items, str, int], T],
    ) -> None:
        self._split = split
        self._places = places
        self._fetch = fetch

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return _Fetched(self._split, self._places[index], self._fetch)
        name, i = self._places[index]
        return self._fetch(self._split[name], name, i)


def _without(
    dataset: Dataset, train: Items, test: Items, exclude: Path
) -> tuple[Items, Items, str, tuple[str, ...]]:
    """Return both splits without the images that *exclude* lists, a note, and warnings."""
    listed = read_exclusions(exclude)
    root = dataset.location.root
    train, of_train = leave_out(train, listed, root)
    test, of_test = leave_out(test, listed, root)
    unknown = [each for each in dict.fromkeys(listed) if each not in of_train | of_test]
    if listed and not of_train | of_test:
        raise DataError(
            f"{exclude} names no image of the dataset {dataset.name} (for instance {unknown[0]})",
            "paths are relative to 'data.root'",
        )
    warnings: tuple[str, ...] = ()
    if unknown:
        images = count(len(unknown), "path")
        warnings = (f"{exclude} names {images} that the dataset does not have ({unknown[0]}, ...)",)
    if not len(train):
        raise DataError(f"{exclude} leaves no image to train on")
    return train, test, f"{count(len(of_train | of_test), 'image')} excluded", warnings
