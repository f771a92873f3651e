"""The user's own images in folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bigan_cli.contracts import Dataset, Items, Options
from bigan_cli.datasets._folder_choice import Choice
from bigan_cli.datasets._folder_layout import Group, Layout
from bigan_cli.datasets._folder_names import SUSPECT, roles_of
from bigan_cli.datasets._folder_reader import recognize
from bigan_cli.datasets._folder_words import Role
from bigan_cli.datasets._size_recipe import recipe_for_folder
from bigan_cli.errors import DataError
from bigan_cli.formatting import count
from bigan_cli.hookspecs import hookimpl
from bigan_cli.image_files import IMAGE_SUFFIXES, natural_key, walk_images
from bigan_cli.missing_paths import require_folder

_NAMED = 3
_LISTED = 12


class FolderOptions(Options):
    """What the folders mean."""

    layout: Literal["auto", "normal", "classes", "defects"] = Field(
        "auto",
        description="normal: every image is normal; classes: one folder for each class; "
        "defects: a folder of normal images beside folders of defects; auto: by what is there.",
    )
    normal: str | tuple[str, ...] = Field(
        "",
        description="The folder of normal images, or several; by default what its name says "
        "(good, normal, ok, clean, ...), else the only folder in train.",
    )
    anomalous: str | tuple[str, ...] = Field(
        "",
        description="The folder of anomalous images, or several; by default all that are not "
        "normal.",
    )
    masks: str | tuple[str, ...] = Field(
        "",
        description="The folder of ground-truth masks, or several; by default what its name "
        "says (ground_truth, masks, ...).",
    )
    recursive: bool = Field(True, description="Whether folders within folders are read too.")


class Folder(Dataset):
    """Images in folders, of any size and mode, in one of these layouts.

    * normal: images directly in ROOT or anywhere below it, all of them normal;
    * classes: ``ROOT/train/<class>`` and ``ROOT/test/<class>``, or, with the option
      ``layout = "classes"``, ``ROOT/<class>`` alone;
    * defects: ``ROOT/train/good``, ``ROOT/test/good`` and ``ROOT/test/<defect>``, with optional
      masks in ``ROOT/ground_truth/<defect>``; or, with the option ``layout = "defects"``,
      ``ROOT/good`` and ``ROOT/<defect>``. ``train`` may also hold the
      normal images themselves, without a folder;
    * masks: images without folders of kinds, which are anomalous if their mask marks any
      pixel (DAGM, KolektorSDD).

    ``val`` is the test split if there is no ``test``, else its images are added to those of
    ``train``. Names of splits, kinds and masks are compared without case. If names mention
    defects or masks and the normal images are unclear, the folder is refused. Hidden files are
    not read. Classes are numbered in natural order of their names, the normal ones first.
    """

    name = "folder"
    summary = "your own images: all normal, in class folders, or good and defects"
    needs_root = True
    Options = FolderOptions

    @classmethod
    def preset_for(
        cls,
        root: Path | None,
        architecture: str | None,
        tile: int | None = None,
        options: Any = None,  # noqa: ARG003  the contract
    ) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        """Return the recipe for photographs or for small pictures, by the images in *root*."""
        return ({}, "") if root is None else recipe_for_folder(root, architecture, tile)

    def train_items(self) -> Items:
        """Return the images to train on: paths and labels.

        Raises:
            UsageError: The folder does not exist.
            DataError: It is empty, or its layout is unclear.
        """
        splits = self._layout.splits
        extra = splits.get("validation", []) if "test" in splits else []
        return self._items([*splits["train"], *extra])

    def test_items(self) -> Items:
        """Return the images in ``test``, else those in ``val``; empty if there is neither.

        Raises:
            UsageError: The folder does not exist.
            DataError: It is empty, or its layout is unclear.
        """
        splits = self._layout.splits
        return self._items(splits.get("test", splits.get("validation", [])))

    def classes(self) -> tuple[str, ...]:
        """Return the names of the folders that are classes, the normal ones first."""
        normal = {group.name: bool(group.normal) for group in self._groups()}
        return tuple(sorted(normal, key=lambda name: (not normal[name], natural_key(name))))

    def normal_classes(self) -> tuple[int, ...] | None:
        """Return the classes of normal folders; None if folders are just classes."""
        if any(group.normal is None for group in self._groups()):
            return None
        normal = {group.name for group in self._groups() if group.normal}
        return tuple(range(len(normal)))

    def describe(self) -> str:
        """Return how every subfolder was interpreted, in one line.

        Raises:
            UsageError: The folder does not exist.
            DataError: It is empty, or its layout is unclear.
        """
        layout, parts = self._layout, []
        for split, groups in layout.splits.items():
            where = layout.folders.get(split, self.location.root).name
            use = ""
            if split == "validation":
                use = (
                    " (normal ones added to train)"
                    if "test" in layout.splits
                    else " (used as test)"
                )
            parts.append(f"{where}: {_shortened(_kinds(groups))}{use}")
        for folder in layout.masks:
            name = folder.folder.relative_to(self.location.root).as_posix()
            parts.append(f"{name}: {count(len(folder.files), 'mask')}")
        beside = sum(
            mask.parent == image.parent
            for group in self._groups()
            for image, masks in group.masks.items()
            for mask in masks
        )
        if beside:
            parts.append(f"beside the images: {count(beside, 'mask')} of anomalies")
        return "; ".join(parts)

    def warnings(self) -> Sequence[str]:
        """Return warnings about images and masks that are not used.

        Raises:
            UsageError: The folder does not exist.
            DataError: It is empty, or its layout is unclear.
        """
        layout, root = self._layout, self.location.root
        found = []
        if layout.unread:
            names = [
                f"{folder.name} ({count(sum(1 for _ in walk_images(folder)), 'image')})"
                for folder in layout.unread
            ]
            found.append(f"folders beside those of the splits are not read: {_shortened(names)}")
        unmatched = layout.unmatched
        if unmatched:
            names = [file.relative_to(root).as_posix() for file in unmatched[:_NAMED]]
            found.append(
                f"masks that fit no image by their names are not used, {len(unmatched)} in all, "
                f"for instance {', '.join(names)}: the mask of 000.png is 000.png, 000_mask.png "
                "or any file in a folder 000"
            )
        return found

    @cached_property
    def _layout(self) -> Layout:
        root, options = self.location.root, self.options
        require_folder(root)
        named = {
            Role.NORMAL: _as_tuple(options.normal),
            Role.ANOMALOUS: _as_tuple(options.anomalous),
            Role.MASKS: _as_tuple(options.masks),
        }
        layout = recognize(root, Choice(root, options.layout, options.recursive, named))
        if not any(group.images for group in layout.splits["train"]):
            where = layout.folders.get("train", root)
            raise DataError(
                f"no images under {where} (looked for {' '.join(IMAGE_SUFFIXES)})",
                "'data.root' is the folder of the normal images, or of folders of images",
            )
        return layout

    def _groups(self) -> list[Group]:
        return [group for groups in self._layout.splits.values() for group in groups]

    def _items(self, groups: Sequence[Group]) -> Items:
        import numpy as np

        numbers = {name: i for i, name in enumerate(self.classes())}
        paths = [path for group in groups for path in group.images]
        labels = [numbers[group.name] for group in groups for _ in group.images]
        masks = [group.masks.get(path) for group in groups for path in group.images]
        return Items(
            paths,
            np.array(labels, np.int64),
            masks=masks if any(masks) else None,
            names=[path.relative_to(self.location.root).as_posix() for path in paths],
        )


def refuse_anomalies(folder: Path, images: Iterable[Path]) -> None:
    """Refuse *images* below *folder*, meant to be normal, in subfolders named otherwise.

    Raises:
        DataError: The name of a subfolder mentions defects or masks.
    """
    for image in images:
        for part in image.relative_to(folder).parts[:-1]:
            if roles_of(part) & SUSPECT:
                raise DataError(
                    f"all images in {folder} would be taken as normal, but the name of the "
                    f"subfolder {part} suggests anomalies or masks",
                    "pass the folders of normal images alone",
                )


def _as_tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(names, str):
        return (names,) if names else ()
    return names


def _kinds(groups: Sequence[Group]) -> list[str]:
    """Return each folder with the number and the kind of its images."""
    found = []
    for group in groups:
        kind = {True: " normal", False: " anomalous", None: ""}[group.normal]
        if group.name != "normal":
            name = group.name if group.name == "defect" else group.folder.name
            found.append(f"{name} {len(group.images):,}{kind}")
            continue
        found += [f"{name} {number:,}{kind}".strip() for name, number in _by_subfolder(group)]
    return found or ["no images"]


def _by_subfolder(group: Group) -> Iterable[tuple[str, int]]:
    """Return the numbers of images of *group* by direct subfolder of its folder."""
    numbers: dict[str, int] = {}
    for image in group.images:
        parts = image.relative_to(group.folder).parts
        name = parts[0] if len(parts) > 1 else ""
        numbers[name] = numbers.get(name, 0) + 1
    return numbers.items()


def _shortened(parts: Sequence[str]) -> str:
    more = len(parts) - _LISTED
    return ", ".join(parts[:_LISTED]) + (f" and {more} more" if more > 0 else "")


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [Folder]
