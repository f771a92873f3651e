"""Images in folders behind a URL, lazily and in natural order, as in folders of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bigan_cli.image_files import is_image_name, natural_key
from bigan_cli.locations.location import RemoteFile, filesystem, reachable


def is_remote_folder(location: RemoteFile) -> bool:
    """Return whether a URL is that of a folder; False if that is unknown."""
    try:
        with reachable():
            files, path = filesystem(location)
            return bool(files.isdir(path))
    except OSError:  # reported when it is read
        return False


def remote_images(folder: RemoteFile, recursive: bool) -> Iterator[RemoteFile | tuple[str, str]]:
    """Yield the images in *folder*, or a folder's URL and why it cannot be listed.

    One folder is in memory at a time, and its parents.
    """
    files, path = filesystem(folder)
    yield from _walk(files, path, _Url(files, folder), recursive)


def matching(pattern: RemoteFile) -> Iterator[RemoteFile]:
    """Yield what a URL with ``*``, ``?`` or ``[...]`` matches, in natural order.

    Raises:
        OSError: It cannot be listed.
    """
    with reachable():
        files, path = filesystem(pattern)
        found = sorted(files.glob(path), key=natural_key)
    url = _Url(files, pattern)
    yield from (RemoteFile(url(each)) for each in found)


class _Url:
    """Makes URLs of paths in a file system, in the form of the URL that was given."""

    def __init__(self, files: Any, given: RemoteFile) -> None:
        head, chain, rest = given.url.partition("::")
        self._scheme = head.partition("://")[0]
        self._rest = chain + rest
        self._files = files

    def __call__(self, path: str) -> str:
        if not self._rest:
            return str(self._files.unstrip_protocol(path))
        return f"{self._scheme}://{path.lstrip('/')}{self._rest}"


def _walk(
    files: Any, folder: str, url: _Url, recursive: bool
) -> Iterator[RemoteFile | tuple[str, str]]:
    try:
        with reachable():
            entries = [
                (entry["name"], entry["type"] == "directory")
                for entry in files.ls(folder, detail=True)
            ]
            files.invalidate_cache(folder)  # or all listings would stay in memory
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield url(folder), f"cannot list this folder: {reason}"
        return
    for path, is_folder in sorted(entries, key=_key):
        name = path.rstrip("/").rpartition("/")[2]
        if path.rstrip("/") == folder.rstrip("/") or name.startswith("."):
            continue
        if is_folder:
            if recursive:
                yield from _walk(files, path, url, recursive)
        elif is_image_name(name):
            yield RemoteFile(url(path))


def _key(entry: tuple[str, bool]) -> Any:
    return natural_key(entry[0].rstrip("/").rpartition("/")[2])
