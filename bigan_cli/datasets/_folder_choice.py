"""The user's options about folders, which take precedence over their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bigan_cli.datasets._folder_names import normalized, roles_of
from bigan_cli.datasets._folder_words import Role
from bigan_cli.errors import UsageError, did_you_mean


class Choice:
    """The options of the dataset ``folder``, applied to each folder.

    Args:
        root: The folder that names may be relative to.
        layout: ``auto``, ``normal``, ``classes`` or ``defects``.
        recursive: Whether subfolders are read.
        named: Folders of normal images, of anomalous ones and of masks, by name or path.
    """

    def __init__(
        self, root: Path, layout: str, recursive: bool, named: Mapping[Role, Sequence[str]]
    ) -> None:
        self.root = root
        self.layout = layout
        self.recursive = recursive
        self._named = named
        self._roles = {
            normalized(name.strip("/")): role for role, names in named.items() for name in names
        }
        self._seen: dict[str, None] = {}
        self._found: set[str] = set()

    @property
    def names_any(self) -> bool:
        """Whether folders of normal or of anomalous images are named."""
        return bool(self._named[Role.NORMAL] or self._named[Role.ANOMALOUS])

    @property
    def names_both(self) -> bool:
        """Whether both kinds are named; other folders are then not read."""
        return bool(self._named[Role.NORMAL] and self._named[Role.ANOMALOUS])

    @property
    def is_given(self) -> bool:
        """Whether the options make folders classes, or name normal ones."""
        return self.layout in ("classes", "defects") or self.names_any

    def label_loose(self) -> str:
        """Return the class name of normal images without a folder, or an empty string."""
        name = next(iter(self._named[Role.NORMAL]), "")
        self._found.add(normalized(name))
        return name

    def roles(self, folder: Path) -> frozenset[Role]:
        """Return the role of *folder*: by the options, else by its name."""
        self._seen[folder.name] = None
        name = self._name_given(folder)
        if name is not None:
            self._found.add(name)
            return frozenset({self._roles[name]})
        roles = roles_of(folder.name)
        # If the user has named the normal folders, there are no others.
        return roles - {Role.NORMAL} if self._named[Role.NORMAL] else roles

    def names_normal(self, folder: Path) -> bool:
        """Return whether the options make *folder* normal."""
        name = self._name_given(folder)
        return name is not None and self._roles[name] is Role.NORMAL

    def is_listed(self, folder: Path) -> bool:
        """Return whether the user names *folder*."""
        return self._name_given(folder) is not None

    def refuse_unknown(self, only: Role | None = None) -> None:
        """Refuse names of folders, or those of one kind, that do not exist.

        Raises:
            UsageError: A folder does not exist; the message lists the existing ones.
        """
        kinds = {
            Role.NORMAL: "of normal images",
            Role.ANOMALOUS: "of anomalous images",
            Role.MASKS: "of masks",
        }
        for role, names in self._named.items():
            for name in names if only in (None, role) else ():
                if normalized(name.strip("/")) not in self._found:
                    raise UsageError(
                        f"there is no folder {name} {kinds[role]} in {self.root} "
                        f"(there is: {', '.join(self._seen)})",
                        did_you_mean(name, tuple(self._seen)),
                    )

    def _name_given(self, folder: Path) -> str | None:
        if not self._roles:
            return None
        path = normalized(folder.relative_to(self.root).as_posix())
        return next((name for name in (path, normalized(folder.name)) if name in self._roles), None)
