"""The user's own images in folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from bigan_cli.contracts import Dataset, Items, Options
from bigan_cli.errors import DataError
from bigan_cli.hookspecs import hookimpl
from bigan_cli.image_files import IMAGE_SUFFIXES, natural_key, subfolders, walk_images

_NORMAL_NAMES = ("good", "normal", "ok")


class FolderOptions(Options):
    """What the folders mean."""

    layout: Literal["auto", "normal", "classes", "defects"] = Field(
        "auto",
        description="normal: every image is normal; classes: one folder for each class; "
        "defects: a folder of normal images beside folders of defects; auto: by what is there.",
    )
    normal: str = Field(
        "",
        description="The folder of normal images; by default good, normal or ok, else the "
        "only folder in train.",
    )
    recursive: bool = Field(True, description="Whether folders within folders are read too.")


@dataclass(frozen=True)
class _Group:
    """The images of one class in one split."""

    name: str
    folder: Path
    paths: Sequence[Path]


@dataclass(frozen=True)
class _Found:
    """What the folder holds: the groups of each split and the name of the normal class, if any."""

    train: Sequence[_Group]
    test: Sequence[_Group]
    normal: str | None


class Folder(Dataset):
    """Images in folders, of any size and mode, in one of these layouts.

    * normal: images directly in ROOT or anywhere below it, all of them normal;
    * classes: ``ROOT/train/<class>`` and ``ROOT/test/<class>``, or, with the option
      ``layout = "classes"``, ``ROOT/<class>`` alone;
    * defects: ``ROOT/train/good``, ``ROOT/test/good`` and ``ROOT/test/<defect>``, with masks in
      ``ROOT/ground_truth/<defect>/<name>_mask.png`` where there are any; or, with the option
      ``layout = "defects"``, ``ROOT/good`` and ``ROOT/<defect>``. ``train`` may also hold the
      normal images themselves, without a folder.

    Where there is a ``train``, folders beside ``train``, ``test`` and ``ground_truth`` are not
    read. Hidden files are not read either. Classes are numbered in natural order of their
    names, the normal one first.
    """

    name = "folder"
    summary = "your own images: all normal, in class folders, or good and defects"
    needs_root = True
    Options = FolderOptions
    # A hundred images are one step or two, and many more passes overfit: docs/results.md.
    preset: ClassVar = {"train": {"min_epoch_steps": 4}}

    def train_items(self) -> Items:
        """Return the images to train on: paths and labels.

        Raises:
            DataError: The folder is missing or empty, or its layout is not understood.
        """
        return self._items(self._found.train)

    def test_items(self) -> Items:
        """Return the images in ``test``; empty where there is no such folder.

        Raises:
            DataError: The folder is missing or empty, or its layout is not understood.
        """
        return self._items(self._found.test)

    def classes(self) -> tuple[str, ...]:
        """Return the names of the folders that are classes, the normal one first."""
        names = {group.name for group in (*self._found.train, *self._found.test)}
        normal = self._found.normal
        return tuple(sorted(names, key=lambda name: (name != normal, natural_key(name))))

    def normal_classes(self) -> tuple[int, ...] | None:
        """Return the class of the normal folder; None where folders are mere classes."""
        return None if self._found.normal is None else (0,)

    @cached_property
    def _found(self) -> _Found:
        root, layout = self.location.root, self.options.layout
        if not root.exists():
            raise DataError(f"no such folder: {root}", "pass the folder with --data-root")
        if not root.is_dir():
            raise DataError(f"{root} is a file, not a folder", "pass its folder with --data-root")
        divided = (root / "train").is_dir() and layout != "normal"
        if divided:
            found = self._with_train(layout)
        elif layout in ("classes", "defects"):
            found = self._without_train(layout)
        else:
            if layout == "auto":
                self._refuse_if_ambiguous()
            found = _Found([_Group("normal", root, self._walk(root))], [], "normal")
        if not any(group.paths for group in found.train):
            where = root / "train" if divided else root
            raise DataError(f"no images under {where} (looked for {' '.join(IMAGE_SUFFIXES)})")
        return found

    def _refuse_if_ambiguous(self) -> None:
        """Refuse to take all images as normal where the names of the folders speak against it."""
        root = self.location.root
        names = [folder.name for folder in subfolders(root)]
        if "test" in names:
            raise DataError(
                f"{root} has a folder test but no folder train",
                "name the folder of the images to train on train",
            )
        telling = [name for name in names if self._sounds_normal(name)]
        if telling and len(names) > 1:
            others = ", ".join(name for name in names if name != telling[0])
            raise DataError(
                f"{root} has a folder {telling[0]} beside {others}: are all of these normal?",
                f"--set data.options.layout=defects if only {telling[0]} is, "
                "--set data.options.layout=normal if all are",
            )

    def _with_train(self, layout: str) -> _Found:
        root = self.location.root
        train = self._groups(root / "train")
        if not train and layout != "classes":
            loose = self._walk(root / "train")
            train = [_Group(self.options.normal or "good", root / "train", loose)]
        else:
            _refuse_loose(root / "train", "train/<class>")
        test = self._groups(root / "test") if (root / "test").is_dir() else []
        if (root / "test").is_dir():
            _refuse_loose(root / "test", "test/good and test/<defect>, or test/<class>")
        return _Found(train, test, self._normal_of(train, layout))

    def _without_train(self, layout: str) -> _Found:
        root = self.location.root
        groups = self._groups(root)
        if not groups:
            raise DataError(
                f"layout {layout} wants a folder of images for each class, but {root} has none"
            )
        return _Found(groups, [], self._normal_of(groups, layout))

    def _normal_of(self, train: Sequence[_Group], layout: str) -> str | None:
        """Return the name of the normal class, or None where the folders are mere classes."""
        names = [group.name for group in train]
        telling = [name for name in names if self._sounds_normal(name)]
        if self.options.normal and not telling:
            raise DataError(
                f"there is no folder {self.options.normal} of normal images to train on "
                f"(there is: {', '.join(names)})"
            )
        if layout == "classes" and not self.options.normal:
            return None
        if telling:
            return telling[0]
        if len(names) == 1:
            return names[0]
        if layout == "defects":
            raise DataError(
                f"which of {', '.join(names)} is normal?", "--set data.options.normal=NAME says it"
            )
        return None

    def _sounds_normal(self, name: str) -> bool:
        named: str = self.options.normal
        return name.casefold() in ((named.casefold(),) if named else _NORMAL_NAMES)

    def _walk(self, folder: Path) -> list[Path]:
        return list(walk_images(folder, self.options.recursive))

    def _groups(self, folder: Path) -> list[_Group]:
        """Return the folders in *folder* that hold images, each as a class."""
        groups = [_Group(sub.name, sub, self._walk(sub)) for sub in subfolders(folder)]
        return [group for group in groups if group.paths]

    def _items(self, groups: Sequence[_Group]) -> Items:
        import numpy as np

        numbers = {name: i for i, name in enumerate(self.classes())}
        paths = [path for group in groups for path in group.paths]
        labels = [numbers[group.name] for group in groups for _ in group.paths]
        masks = [mask for group in groups for mask in self._masks(group)]
        return Items(
            paths,
            np.array(labels, np.int64),
            masks=masks if any(masks) else None,
            names=[path.relative_to(self.location.root).as_posix() for path in paths],
        )

    def _masks(self, group: _Group) -> list[Path | None]:
        folder = self.location.root / "ground_truth" / group.name
        if group.name == self._found.normal or not folder.is_dir():
            return [None] * len(group.paths)
        # 000.png has 000_mask.png; some collections give the mask the very name of the image.
        masks = {
            (mask.relative_to(folder).parent, mask.stem.removesuffix("_mask")): mask
            for mask in walk_images(folder)
        }
        return [
            masks.get((path.relative_to(group.folder).parent, path.stem)) for path in group.paths
        ]


def _refuse_loose(folder: Path, wanted: str) -> None:
    """Refuse images directly in *folder*, beside or instead of folders of them."""
    if any(walk_images(folder, recursive=False)):
        raise DataError(
            f"{folder} holds images that are in no folder of their own, so what they are is "
            "not known",
            f"put them into {wanted}",
        )


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the data set."""
    return [Folder]
