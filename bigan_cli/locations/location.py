"""Locations of files, on this machine or behind an fsspec URL, and the one place that opens them.

fsspec, and the package of each object store (s3fs, gcsfs, ...), are imported for URLs only.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeAlias

from bigan_cli.errors import UsageError
from bigan_cli.extras import require_extra

# At least two letters: a single one is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_CHAIN = "::"
# Least bytes that are read at a time from a file behind a URL.
_BUFFER = 2**16
# Keys under which the file systems of fsspec give the version or the time of a file.
_VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file or a folder behind an fsspec URL, for instance ``s3://bucket/a.png``.

    The URL may be a chain: ``zip://a.png::s3://bucket/photos.zip``.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemoteFile:
        """Return the file *name* in this folder."""
        path = self._path
        return RemoteFile(f"{path.rstrip('/')}/{name}{self.url[len(path) :]}")

    def with_name(self, name: str) -> RemoteFile:
        """Return the file *name* in the folder of this one."""
        return self.beside(name)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self._path.rstrip("/").rpartition("/")[2]

    def beside(self, relative: str) -> RemoteFile:
        """Return the file *relative* to the folder of this one; a URL is not relative."""
        path = self._path
        folder = path[: path.rindex("/") + 1]
        return RemoteFile(folder + relative + self.url[len(path) :])

    @property
    def _path(self) -> str:
        return self.url.split(_CHAIN, 1)[0]


Location: TypeAlias = Path | RemoteFile


def is_url(text: str) -> bool:
    """Return whether *text* is a URL, not a path."""
    return bool(_URL.match(text))


def locate(given: str | Location) -> Location:
    """Return where *given* is, a path or a URL; ``file://`` is a path.

    Raises:
        UsageError: A URL needs a package that is not installed, or nothing opens such URLs.
    """
    if not isinstance(given, str):
        return given
    if not is_url(given):
        return Path(given)
    if given.startswith("file://") and _CHAIN not in given:
        return Path(given.removeprefix("file://"))
    remote = RemoteFile(given)
    _check_protocols(tuple(re.findall(r"(?:^|::)([A-Za-z][A-Za-z0-9+.-]+)(?=:)", given)))
    return remote


def relative_to(listing: Location, text: str) -> Location:
    """Return the location that *text* is in the list *listing*: relative to the list's folder."""
    if is_url(text):
        return locate(text)
    if isinstance(listing, Path):
        return listing.parent / text
    return locate(text) if text.startswith("/") else listing.beside(text)


@contextmanager
def open_location(location: Location) -> Iterator[IO[bytes]]:
    """Open a file for reading; the stream can seek, behind a URL as well.

    Raises:
        OSError: It is missing, or cannot be read or reached.
    """
    if isinstance(location, Path):
        with location.open("rb") as stream:
            yield stream
        return
    with reachable():
        files, path = filesystem(location)
        stream = files.open(path, "rb")
    # The readline of fsspec takes no limit, and reads a block again for each line.
    with io.BufferedReader(stream, _BUFFER) as buffered:
        yield buffered


def read_location(location: RemoteFile, limit: int) -> bytes:
    """Return the contents of a file, at most *limit* + 1 bytes: more than *limit* is too large.

    Raises:
        OSError: It is missing, or cannot be read or reached.
    """
    with reachable(), open_location(location) as stream:
        return stream.read(limit + 1)


def read_range(location: Location, start: int, stop: int) -> bytes:
    """Return the bytes of a file from *start* up to *stop*, or to its end if that is before.

    Raises:
        OSError: It is missing, or cannot be read or reached.
    """
    if isinstance(location, Path):
        with location.open("rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)
    with reachable():
        files, path = filesystem(location)
        contents: bytes = files.cat_file(path, start=start, end=stop)
        return contents


def file_version(location: Location) -> str:
    """Return a text that changes when the file does: its size, and its time or entity tag.

    Raises:
        OSError: It is missing, or cannot be reached.
    """
    if isinstance(location, Path):
        status = location.stat()
        return f"{status.st_size} {status.st_mtime_ns}"
    with reachable():
        files, path = filesystem(location)
        found = files.info(path)
    known = [found.get("size"), *(found[key] for key in _VERSIONS if key in found)]
    return " ".join(map(str, known))


def write_location(location: RemoteFile, contents: IO[bytes]) -> None:
    """Write a file to an object store, which has all of it or nothing.

    Raises:
        OSError: It cannot be written or reached.
    """
    with reachable():
        files, path = filesystem(location)
        with files.open(path, "wb") as stream:
            shutil.copyfileobj(contents, stream, 2**20)


def location_exists(location: Location) -> bool:
    """Return whether there is a file.

    Raises:
        OSError: The object store cannot be reached.
    """
    if isinstance(location, Path):
        return location.exists()
    with reachable():
        files, path = filesystem(location)
        files.invalidate_cache()  # other machines write there, too
        return bool(files.exists(path))


def filesystem(location: RemoteFile) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path in it."""
    from fsspec.core import url_to_fs

    files, path = url_to_fs(location.url)
    return files, path


@contextmanager
def reachable() -> Iterator[None]:
    """Turn whatever the package of an object store raises into an OSError with its reason."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise OSError(0, f"cannot be reached ({text})") from error


@cache
def _check_protocols(protocols: tuple[str, ...]) -> None:
    require_extra("scale", "fsspec")
    from fsspec.registry import get_filesystem_class

    for protocol in protocols:
        try:
            get_filesystem_class(protocol)
        except ImportError as error:
            raise UsageError(f"{protocol}:// needs a package: {error}") from error
        except ValueError as error:
            raise UsageError(
                f"nothing is installed that opens {protocol}://", "see the list of fsspec"
            ) from error


def text_lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield the lines of UTF-8 text without a byte order mark; other bytes stay, as in paths."""
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from text
    finally:
        with suppress(ValueError):  # it is closed already
            text.detach()  # whoever opened *stream* closes it
