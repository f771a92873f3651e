"""What the inspection datasets share: categories, the class ``good``, defects, masks."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bigan_cli.contracts import Dataset, Items, Options
from bigan_cli.errors import DataError, UsageError, did_you_mean

GOOD = "good"
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


# A category has 60 to 1,000 images: more passes, in smaller steps.
_ON_PIXELS: Mapping[str, Mapping[str, Any]] = {"train": {"epochs": 200, "batch_size": 16}}
_NAMED = 3


class InspectionOptions(Options):
    """Options of ``mvtec`` and ``visa``."""

    category: str = Field(
        "", description="Which product, for instance bottle; may be left out where there is one."
    )


@dataclass(frozen=True)
class Picture:
    """One image: its file, its class and, where it is known, the file or files of its mask."""

    file: Path
    label: str
    mask: Path | tuple[Path, ...] | None = None


@dataclass(frozen=True)
class Pictures:
    """The images of one category.

    Attributes:
        train: To train on; all of them are good.
        test: To test on.
        unmatched: Masks that no image has.
    """

    train: Sequence[Picture]
    test: Sequence[Picture]
    unmatched: Sequence[Path] = ()


class InspectionDataset(Dataset):
    """Good products to train on; good and defective ones, with masks, to test on.

    Class attributes:
        title: The name of the collection.
        folder_names: What the folder that holds the categories may be called, where the root
            is the folder above it.
    """

    title: ClassVar[str]
    folder_names: ClassVar[tuple[str, ...]]
    needs_root = True
    Options = InspectionOptions
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "data": {"image_size": 384},
        "model": {"architecture": "features"},
    }

    @classmethod
    def preset_for(
        cls,
        root: Path | None,  # noqa: ARG003  all of these collections hold photographs
        architecture: str | None,
        tile: int | None = None,
        options: Any = None,  # noqa: ARG003
    ) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        """Return the recipe for photographs at 384 pixels, or for networks on pixels."""
        if architecture not in (None, "features"):
            return _ON_PIXELS, ""
        if tile is not None:
            return {"model": cls.preset["model"]}, ""
        return cls.preset, ""

    @abstractmethod
    def _categories(self, folder: Path) -> Mapping[str, Path]:
        """Return the categories in *folder*, name -> folder; none where there are none."""

    @abstractmethod
    def _pictures(self, folder: Path) -> Pictures:
        """Return the images of the category in *folder*."""

    def train_items(self) -> Items:
        """Return the good images to train on.

        Raises:
            DataError: The files are missing, or the category is not one of those found.
        """
        return self._items(self._found.train)

    def test_items(self) -> Items:
        """Return the good and the defective images to test on, with the masks of the latter.

        Raises:
            DataError: The files are missing, or the category is not one of those found.
        """
        return self._items(self._found.test)

    def classes(self) -> tuple[str, ...]:
        """Return ``good`` and the kinds of defects of this category, in alphabetical order."""
        labels = {picture.label for picture in (*self._found.train, *self._found.test)}
        return (GOOD, *sorted(labels - {GOOD}))

    def normal_classes(self) -> tuple[int, ...]:
        """Return the class ``good``."""
        return (0,)

    def describe(self) -> str:
        """Return the numbers of images of each split and class, and of masks, in one line."""
        found = self._found
        masks = sum(picture.mask is not None for picture in found.test)
        return f"train: {_counts(found.train)}; test: {_counts(found.test)}; {masks} with a mask"

    def warnings(self) -> Sequence[str]:
        """Return a warning about masks that no image has."""
        unmatched = self._found.unmatched
        if not unmatched:
            return ()
        names = [file.relative_to(self.location.root).as_posix() for file in unmatched[:_NAMED]]
        said = f"masks that fit no image by their names are not used, {len(unmatched)} in all"
        return (f"{said}, for instance {', '.join(names)}",)

    @cached_property
    def _found(self) -> Pictures:
        category, folder = self._choose()
        pictures = self._pictures(folder)
        if not pictures.train:
            raise DataError(f"no good images of {category} to train on in {folder}")
        return pictures

    def _choose(self) -> tuple[str, Path]:
        """Return the chosen category and its folder."""
        root, wanted = self.location.root, self.options.category
        folders = [root, *(root / name for name in self.folder_names)]
        categories = next(filter(None, map(self._categories, folders)), {})
        if not categories:
            missing = not root.is_dir()
            where = "no such folder" if missing else "it holds none of its categories"
            raise (UsageError if missing else DataError)(
                f"{self.title} is not in {root}: {where}",
                "unpack it and pass the folder that holds the categories with --data-root",
            )
        if not wanted and len(categories) == 1:
            return next(iter(categories.items()))
        if wanted in categories:
            return wanted, categories[wanted]
        there = f"there {'are' if len(categories) > 1 else 'is'} {', '.join(categories)}"
        if not wanted:
            raise DataError(
                f"which category of {self.title}? {there}",
                f"--set data.options.category={next(iter(categories))}",
            )
        raise DataError(
            f"{self.title} in {root} has no category {wanted}: {there}",
            did_you_mean(wanted, list(categories)),
        )

    def _items(self, pictures: Sequence[Picture]) -> Items:
        import numpy as np

        numbers = {name: number for number, name in enumerate(self.classes())}
        masks = [picture.mask for picture in pictures]
        return Items(
            [picture.file for picture in pictures],
            np.array([numbers[picture.label] for picture in pictures], np.int64),
            masks=masks if any(masks) else None,
            names=[picture.file.relative_to(self.location.root).as_posix() for picture in pictures],
        )


def _counts(pictures: Sequence[Picture]) -> str:
    labels = Counter(picture.label for picture in pictures)
    kinds = {GOOD: "normal"}
    return ", ".join(
        f"{label} {number:,} {kinds.get(label, 'anomalous')}" for label, number in labels.items()
    )


def folders_in(folder: Path) -> list[Path]:
    """Return the folders directly in *folder*, by name; none where it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def images_in(folder: Path) -> list[Path]:
    """Return the image files directly in *folder*, by name; none where it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)
