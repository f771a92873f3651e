"""Images in folders behind a URL, found lazily and in natural order, as on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bigan_cli.image_files import is_image_name, natural_key
from bigan_cli.locations.location import RemoteFile, filesystem, reachable


def is_remote_folder(location: RemoteFile) -> bool:
    """Return whether a URL is that of a folder; False where it cannot be reached."""
    try:
        with reachable():
            files, path = filesystem(location)
            return bool(files.isdir(path))
    except OSError:  # reported when it is read
        return False


def remote_images(folder: RemoteFile, recursive: bool) -> Iterator[RemoteFile | tuple[str, str]]:
    """Yield the images in *folder*; of a folder that cannot be listed, its URL and the reason.

    The entries of one folder and of its parents are in memory at a time.

    Args:
        folder: Where to look.
        recursive: Whether folders below it are searched, too; hidden ones never are.
    """
    files, path = filesystem(folder)
    yield from _walk(files, path, _Url(files, folder), recursive)


def matching_urls(pattern: RemoteFile) -> Iterator[RemoteFile]:
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
    """Makes URLs of the paths of a file system.

    Args:
        files: The file system of fsspec.
        given: A URL in it; chains of protocols are continued as in this one.
    """

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
    for path, is_folder in sorted(entries, key=_natural_order):
        name = path.rstrip("/").rpartition("/")[2]
        if path.rstrip("/") == folder.rstrip("/") or name.startswith("."):
            continue
        if is_folder:
            if recursive:
                yield from _walk(files, path, url, recursive)
        elif is_image_name(name):
            yield RemoteFile(url(path))


def _natural_order(entry: tuple[str, bool]) -> Any:
    return natural_key(entry[0].rstrip("/").rpartition("/")[2])
