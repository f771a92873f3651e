"""Refusal to take all images as normal where the names of folders suggest otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigan_cli.datasets._folder_choice import Choice
from bigan_cli.datasets._folder_names import (
    SPLITS,
    SUSPECT,
    find_opposites,
    suggests_anomaly,
)
from bigan_cli.datasets._folder_words import Role
from bigan_cli.errors import DataError


def refuse_suspect_subfolders(choice: Choice, folder: Path, images: Sequence[Path]) -> None:
    """Refuse normal images in subfolders whose names mention defects, masks or splits.

    Names that contradict each other are refused, too.

    Raises:
        DataError: There is such a subfolder of *folder*; the message says how to decide.
    """
    parts = sorted({image.parent for image in images})
    below = {
        folder.joinpath(*names[:depth])
        for names in (part.relative_to(folder).parts for part in parts)
        for depth in range(1, len(names) + 1)
    }
    roles = {part: choice.roles(part) for part in sorted(below)}
    for part, found in roles.items():
        if found & SPLITS and not found & SUSPECT:
            raise DataError(
                f"{folder} seems to hold several datasets: one of them has the folder {part}",
                "pass the folder of one of them as data.root, or set "
                "data.options.layout=normal if all images are normal",
            )
    for part, found in roles.items():
        others = [
            each.name
            for each in (roles if Role.NORMAL in found else ())
            if each.parent == part.parent and Role.NORMAL not in roles[each]
        ]
        says = "masks" if Role.MASKS in found else "anomalies"
        if found & SUSPECT:
            says = f"but the name of {part.relative_to(choice.root)} suggests {says}"
        elif Role.NORMAL in found and others:
            says = f"and {part.relative_to(choice.root)} is next to {', '.join(others)}"
        else:
            continue
        raise DataError(
            f"all of {folder} would be taken as normal, {says}",
            "name the folder of normal images in data.options.normal, or set "
            "data.options.layout=normal if all are normal",
        )
    siblings: dict[Path, list[str]] = {}
    for part in roles:
        siblings.setdefault(part.parent, []).append(part.name)
    for parent, names in siblings.items():
        _refuse_opposites(parent, names)


def refuse_telling_names(
    choice: Choice, folder: Path, children: Sequence[Path], masks: Sequence[Path]
) -> None:
    """Refuse to take all images as normal if names of folders contradict this.

    Args:
        choice: The options of the user.
        folder: The folder of the images.
        children: Its subfolders, without those of masks.
        masks: The folders of masks.

    Raises:
        DataError: A folder is named like normal images beside others, or like anomalies.
    """
    roles = {child.name: choice.roles(child) for child in children}
    normal = [name for name, each in roles.items() if Role.NORMAL in each]
    anomalous = [name for name, each in roles.items() if Role.ANOMALOUS in each]
    others = [name for name in roles if name not in normal]
    others += [mask.name for mask in masks]
    if normal and others:
        raise DataError(
            f"{folder} has a folder {' and '.join(normal)} beside "
            f"{', '.join(others)}: are all of these normal?",
            f"'data.options.layout=defects' if only {' and '.join(normal)} is, "
            "'data.options.layout=normal' if all are",
        )
    if anomalous:
        unknown = [name for name in roles if name not in anomalous]
        named = unknown[0] if len(unknown) == 1 else "NAME"
        raise DataError(
            f"{folder} has a folder {anomalous[0]}, whose name suggests anomalies: "
            "which images are normal?",
            f"'data.options.normal={named}' names their "
            "folder, 'data.options.layout=normal' takes all as normal",
        )
    _refuse_opposites(folder, list(roles))


def _refuse_opposites(folder: Path, names: Sequence[str]) -> None:
    found = find_opposites(names)
    if found is not None:
        raise DataError(
            f"{folder} has the folders {found[0]} and {found[1]}: are both normal?",
            "'data.options.normal=NAME' names the folder of normal images, "
            "'data.options.layout=normal' takes all as normal",
        )


def refuse_telling_files(folder: Path, images: Sequence[Path]) -> None:
    """Refuse to take *images* in *folder* as normal if names of files mention defects or masks.

    Raises:
        DataError: A name does.
    """
    found = [image for image in images if suggests_anomaly(image)]
    if found:
        raise DataError(
            f"all of {folder} would be taken as normal, but the names of {len(found)} of "
            f"{len(images)} images mention defects or masks, for instance {found[0].name}",
            "move such images to another folder, or set 'data.options.layout=normal' if all "
            "images are normal",
        )
