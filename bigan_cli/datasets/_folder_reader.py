"""Recognition of the layout of a folder of images, from the names of its subfolders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bigan_cli.datasets._folder_ambiguity import (
    refuse_suspect_subfolders,
    refuse_telling_files,
    refuse_telling_names,
)
from bigan_cli.datasets._folder_choice import Choice
from bigan_cli.datasets._folder_layout import Group, Layout
from bigan_cli.datasets._folder_masks import (
    MaskFolder,
    MaskQuery,
    marks_anything,
    match,
    split_off_masks,
)
from bigan_cli.datasets._folder_names import (
    SPLITS,
    SUSPECT,
    is_neutral,
    may_be_validation,
    normalized,
)
from bigan_cli.datasets._folder_words import Role
from bigan_cli.errors import DataError
from bigan_cli.image_files import subfolders, walk_images

_DEFECT = "defect"
_DEEPEST = 4


@dataclass
class _Contents:
    """The contents of one folder, not interpreted yet."""

    folder: Path
    children: list[Path]
    loose: list[Path]


def recognize(root: Path, choice: Choice) -> Layout:
    """Return the layout of the folder *root*.

    Args:
        root: A folder.
        choice: The options of the user.

    Raises:
        DataError: The layout is unclear; the message names the options that clarify it.
    """
    return Reader(root, choice).read()


class Reader:
    """Reads one root; see :func:`recognize`."""

    def __init__(self, root: Path, choice: Choice) -> None:
        self.root = root
        self.choice = choice
        self.layout = Layout({})
        self._masks_decide = False

    def read(self) -> Layout:
        """Return the layout of the root."""
        choice = self.choice
        if choice.layout == "normal":
            self.layout.splits["train"] = [self._group(self.root, "normal", normal=True)]
            return self.layout
        contents = self._open(self.root, sole=not choice.is_given and choice.recursive)
        splits = self._split_folders(contents)
        if Role.TRAIN in splits:
            self._read_splits(contents, splits)
        elif splits:
            name = next(iter(splits.values())).name
            raise DataError(
                f"{contents.folder} has a folder {name} but no folder train",
                "name the folder of the images to train on train",
            )
        elif mixed := [c.name for c in contents.children if len(choice.roles(c)) > 1]:
            raise DataError(
                f"{contents.folder} has folders named after a split and a kind at once: "
                f"{', '.join(mixed)}",
                "name them train/<class> and test/<class>, as train/good and test/bad",
            )
        elif choice.is_given:
            self._read_kinds(contents)
        else:
            self._read_without_names(contents)
        choice.refuse_unknown()
        self._match_masks()
        return self.layout

    # Folders

    def _open(self, folder: Path, *, sole: bool) -> _Contents:
        """Return the contents of *folder*, or of its only subfolder with images.

        Folders of masks on the way are recorded. A subfolder is entered if its name has no
        meaning (``images``), or, if *sole*, any meaning that is not known.
        """
        for _ in range(_DEEPEST):
            children = [child for child in subfolders(folder) if _holds_images(child)]
            masks = [child for child in children if Role.MASKS in self.choice.roles(child)]
            self.layout.masks += [MaskFolder(each) for each in masks]
            children = [child for child in children if child not in masks]
            loose = list(walk_images(folder, recursive=False))
            if len(children) != 1 or loose or self.choice.roles(children[0]):
                break
            if not (is_neutral(children[0].name) or (sole and not masks)):
                break
            folder = children[0]
        return _Contents(folder, children, loose)

    def _split_folders(self, contents: _Contents) -> dict[Role, Path]:
        found: dict[Role, Path] = {}
        for child in contents.children:
            roles = self.choice.roles(child)
            if len(roles) != 1 or not roles & SPLITS:
                continue
            (role,) = roles
            if role in found:
                raise DataError(
                    f"{contents.folder} has two folders of {role.value} images: "
                    f"{found[role].name} and {child.name}",
                    "leave one of them",
                )
            found[role] = child
        if Role.TRAIN in found and Role.VALIDATION not in found:
            named = [c for c in contents.children if may_be_validation(c.name)]
            if len(named) == 1 and not self.choice.is_listed(named[0]):
                found[Role.VALIDATION] = named[0]
        # Empty folders of a split count for the layout, too.
        for child in subfolders(contents.folder):
            roles = self.choice.roles(child)
            if len(roles) == 1:
                (role,) = roles
                if role in SPLITS:
                    found.setdefault(role, child)
        return found

    def _group(self, folder: Path, name: str, *, normal: bool | None) -> Group:
        files = list(walk_images(folder, self.choice.recursive))
        if self.choice.layout == "normal":
            return Group(name, folder, files, normal)
        images, masks = split_off_masks(files)
        inside = [mask.folder for mask in self.layout.masks if mask.folder.is_relative_to(folder)]
        images = [i for i in images if not any(i.is_relative_to(each) for each in inside)]
        if normal and not self.choice.names_normal(folder):
            refuse_suspect_subfolders(self.choice, folder, images)
        return Group(name, folder, images, normal, masks)

    # With train/

    def _read_splits(self, contents: _Contents, splits: dict[Role, Path]) -> None:
        opened = {
            role.value: self._open(splits[role], sole=False) for role in Role if role in splits
        }
        self.layout.folders = {role.value: folder for role, folder in splits.items()}
        used = set(splits.values())
        self.layout.unread = [child for child in contents.children if child not in used]
        normal = self._normal_names(opened["train"])
        for name, each in opened.items():
            self.layout.splits[name] = self._read_split(name, each, normal)

    def _normal_names(self, train: _Contents) -> list[str] | None:
        """Return the folders of normal images in train; None if folders are just classes."""
        choice, children = self.choice, train.children
        normal = [child.name for child in children if Role.NORMAL in choice.roles(child)]
        if choice.layout == "classes" and not choice.names_any:
            return None
        if normal or not children:
            return normal or ["good"]
        choice.refuse_unknown(Role.NORMAL)
        unknown = [child.name for child in children if not choice.roles(child) & SUSPECT]
        suspect = [child.name for child in children if child.name not in unknown]
        stated = choice.names_any or choice.layout == "defects"
        if (choice.names_any and unknown) or (len(unknown) == 1 and (stated or not suspect)):
            return unknown
        if not suspect and choice.layout != "defects":
            return None
        names = ", ".join(child.name for child in children)
        raise DataError(
            f"which of {names} is normal? "
            + (f"the name of {train.folder / suspect[0]} suggests anomalies" if suspect else ""),
            f"data.options.normal={unknown[0] if unknown else 'NAME'} says it; "
            "data.options.layout=normal takes all images as normal",
        )

    def _read_split(
        self, name: str, contents: _Contents, normal: Sequence[str] | None
    ) -> list[Group]:
        if contents.loose:
            return self._read_loose_split(name, contents, normal)
        if normal is None:
            return [self._group(child, child.name, normal=None) for child in contents.children]
        known = {normalized(each): each for each in normal}
        groups = []
        for child in contents.children:
            same = known.get(normalized(child.name))
            if same is None and Role.NORMAL in self.choice.roles(child):
                same = normal[0]  # test/ok beside train/good
            label = child.name if same is None else same
            groups.append(self._group(child, label, normal=same is not None))
        return groups

    def _read_loose_split(
        self, name: str, contents: _Contents, normal: Sequence[str] | None
    ) -> list[Group]:
        """Return the images directly in a split; masks, if any, decide which are anomalous.

        Without masks, images in train are normal; the role of others is unknown.
        """
        images, masks = split_off_masks(contents.loose)
        group = Group("good", contents.folder, images, None, masks)
        if not contents.children:
            decided = self._by_masks(group)
            if decided is not None:
                return decided
            if name == "train" and self.choice.layout != "classes":
                if not self.choice.names_any:
                    refuse_telling_files(contents.folder, images)
                label = self.choice.label_loose() or (normal or ["good"])[0]
                return [replace(group, name=label, normal=True)]
        split = self.layout.folders[name].name
        wanted = f"{split}/<class>"
        if name != "train":
            wanted = f"{split}/good and {split}/<defect>, or {wanted}"
        raise DataError(
            f"{contents.folder} holds images that are in no folder of their own, so what they "
            "are is not known",
            f"put them into {wanted}",
        )

    # Without train/

    def _read_kinds(self, contents: _Contents) -> None:
        """Read a folder for each class, by the options: ``ROOT/good``, ``ROOT/<defect>``."""
        choice, children = self.choice, contents.children
        if not children:
            raise DataError(
                f"there should be a folder of images for each class, but {contents.folder} has none"
            )
        if contents.loose:
            raise DataError(
                f"{contents.folder} holds images that are in no folder of their own, so what "
                "they are is not known",
                "put them into a folder of their class",
            )
        if choice.layout != "classes" or choice.names_any:
            normal = self._normal_names(contents) or []
        else:
            normal = None
        if normal is not None and choice.layout == "auto" and choice.names_both:
            listed = [c for c in children if choice.is_listed(c)]
            self.layout.unread = [c for c in children if c not in listed]
            children = listed
        groups = self._read_split("train", _Contents(contents.folder, children, []), normal)
        self.layout.splits["train"] = groups

    def _read_without_names(self, contents: _Contents) -> None:
        """Read images in folders whose names have no meaning: all of them are normal.

        Masks decide which are anomalous, if there are any.

        Raises:
            DataError: Names of folders contradict this, or masks match no image.
        """
        masks = [mask.folder for mask in self.layout.masks]
        refuse_telling_names(self.choice, contents.folder, contents.children, masks)
        group = self._group(contents.folder, "normal", normal=True)
        decided = self._by_masks(group)
        if decided is None and self.layout.masks:
            raise DataError(
                f"the masks in {self.layout.masks[0].folder} fit no image of {contents.folder} by "
                "their names, so which images are anomalous is not known",
                "give a mask the name of its image, or set data.options.layout=normal if all "
                "images are normal",
            )
        if decided is None:
            refuse_telling_files(contents.folder, group.images)
        self.layout.splits["train"] = [group] if decided is None else decided

    # Masks

    def _by_masks(self, group: Group) -> list[Group] | None:
        """Divide images into normal and anomalous ones by their masks; None without any mask.

        Raises:
            DataError: A mask cannot be read.
        """
        found = match(self.layout.masks, self._queries([replace(group, normal=None)])).masks
        masks = {**{i: found[i] for i in group.images if i in found}, **group.masks}
        if not masks:
            return None
        self._masks_decide = True
        bad = {image for image in masks if marks_anything(masks[image])}
        good = [image for image in group.images if image not in bad]
        defects = [image for image in group.images if image in bad]
        divided = [Group("good", group.folder, good, True)] if good else []
        if defects:
            kept = {image: masks[image] for image in defects}
            divided.append(Group(_DEFECT, group.folder, defects, False, kept))
        return divided

    def _queries(self, groups: Sequence[Group]) -> Iterator[MaskQuery]:
        for group in groups:
            for image in group.images:
                yield MaskQuery.of(image, self.root, normal=group.normal is True)

    def _match_masks(self) -> None:
        groups = [group for each in self.layout.splits.values() for group in each]
        found = match(self.layout.masks, self._queries(groups))
        for group in groups:
            if group.normal is not True:
                group.masks.update({i: found.masks[i] for i in group.images if i in found.masks})
        self.layout.unmatched = list(found.unmatched)
        if self._masks_decide and found.unmatched:
            raise DataError(
                f"{len(found.unmatched)} masks fit no image by their names, for instance "
                f"{found.unmatched[0].relative_to(self.root)}, so which images are anomalous is "
                "not known",
                "give a mask the name of its image (000.png or 000_mask.png)",
            )


def _holds_images(folder: Path) -> bool:
    return next(walk_images(folder), None) is not None
