"""The layout of a folder of images: its splits, and the classes in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bigan_cli.datasets._folder_masks import MaskFolder, Masks


@dataclass(frozen=True)
class Group:
    """The images of one class in one folder.

    Attributes:
        name: Name of the class.
        folder: Their folder.
        images: The files.
        normal: Whether the class is normal, or None if folders are just classes.
        masks: Masks of the images that have any.
    """

    name: str
    folder: Path
    images: Sequence[Path]
    normal: bool | None
    masks: dict[Path, Masks] = field(default_factory=dict)


@dataclass
class Layout:
    """The layout of a folder.

    Attributes:
        splits: ``train``, ``validation`` and ``test``, if present -> the groups.
        folders: The folder of each split.
        masks: The folders of masks.
        unmatched: Masks without an image.
        unread: Folders whose images are not used.
    """

    splits: dict[str, list[Group]]
    folders: dict[str, Path] = field(default_factory=dict)
    masks: list[MaskFolder] = field(default_factory=list)
    unmatched: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
