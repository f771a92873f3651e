"""The images in tar shards, each read at its place without reading what is before it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, overload

import numpy as np

from bigan_cli.atomic import atomic_write
from bigan_cli.contracts import Blocks
from bigan_cli.datasets._size_recipe import Size, size_of
from bigan_cli.errors import DataError, UsageError
from bigan_cli.locations.location import Location, file_version, open_location, read_range
from bigan_cli.locations.tar_headers import CheckedMember, is_image_member
from bigan_cli.missing_paths import similar_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Images of a block, and bytes: a block is read at once.
_BLOCK_IMAGES, _BLOCK_BYTES = 256, 32 * 2**20
_LARGEST_IMAGE = 256 * 2**20
_HEADER = tarfile.BLOCKSIZE
_TAR, _CHAIN = "tar://", "::"
# Columns of the places of images.
_START, _SIZE, _CHECKSUM, _NAME = range(4)


@dataclass(frozen=True, eq=False)
class Shard:
    """A tar archive, and where the images in it are.

    Attributes:
        location: The file.
        version: Changes when the file does.
        places: int64 ``[N, 4]``: of each image the first byte, the size, the CRC-32 of its
            header, by which a changed archive is noticed, and a digest of its name.
    """

    location: Location
    version: str
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, start: int, stop: int) -> list[bytes]:
        """Return the contents of the images from *start* up to *stop*, read at once.

        Raises:
            DataError: The archive cannot be read, or has changed.
        """
        places = self.places[start:stop].tolist()
        first = places[0][_START] - _HEADER
        try:
            found = read_range(self.location, first, places[-1][_START] + places[-1][_SIZE])
        except OSError as error:
            raise _unreadable(self.location, error) from error
        contents = []
        for begin, size, checksum, _ in places:
            at = begin - first
            if zlib.crc32(found[at - _HEADER : at]) != checksum or len(found) < at + size:
                raise DataError(
                    f"{self.location} has changed since its images were found",
                    "bring back the archive as it was, or start again",
                )
            contents.append(found[at : at + size])
        return contents

    def name(self, number: int) -> str:
        """Return the URL of an image, as in the results of scoring."""
        begin = int(self.places[number, _START])
        header = read_range(self.location, begin - _HEADER, begin)
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        return f"{_TAR}{member.name}{_CHAIN}{self.location}"

    def numbers(self, member: str) -> list[int]:
        """Return the numbers of the images that are members of this name."""
        found: list[int] = np.flatnonzero(self.places[:, _NAME] == _name_digest(member)).tolist()
        return found

    def cuts(self) -> list[int]:
        """Return the bounds of the blocks of its images, from 0 to their number."""
        starts, sizes = self.places[:, _START].tolist(), self.places[:, _SIZE].tolist()
        bounds = [0]
        for number in range(1, len(self)):
            first = bounds[-1]
            too_long = starts[number] + sizes[number] - starts[first] > _BLOCK_BYTES
            if too_long or number - first == _BLOCK_IMAGES:
                bounds.append(number)
        return [*bounds, len(self)] if len(self) else [0]


def open_shard(location: Location, cache: Path) -> Shard:
    """Return a shard with the places of its images, from the folder *cache* if it is known.

    Raises:
        UsageError: It does not exist.
        DataError: It is damaged or no tar archive.
    """
    try:
        version = file_version(location)
        stored = cache / f"{_digest(f'{location} {version}'.encode(errors='replace'))}.npz"
        places = _load(stored)
        if places is None:
            places = _find_images(location)
            with suppress(OSError), atomic_write(stored) as stream:  # a cache may be read-only
                np.savez(stream, places=places)
    except FileNotFoundError as error:
        near = similar_path(location) if isinstance(location, Path) else ""
        raise UsageError(f"no such file: {location}", near) from error
    except (OSError, tarfile.TarError) as error:
        raise _unreadable(location, error) from error
    return Shard(location, version, places)


def first_sizes(location: Location, most: int) -> list[Size]:
    """Return (width, height) of the readable ones of the first images of a shard, *most* of them.

    Raises:
        DataError: The shard is missing, damaged there or no tar archive.
    """
    try:
        with _open_tar(location) as (_, tar):
            images = (tar.extractfile(member) for member in islice(_image_members(tar), most))
            return [size for image in images if image and (size := size_of(image))]
    except (OSError, tarfile.TarError) as error:
        raise _unreadable(location, error) from error


def _find_images(location: Location) -> NDArray[np.int64]:
    places = []
    with _open_tar(location) as (stream, tar):
        for member in _image_members(tar):
            after = stream.tell()
            stream.seek(member.offset_data - _HEADER)
            checksum = zlib.crc32(stream.read(_HEADER))
            named = _name_digest(member.name)
            places.append((member.offset_data, member.size, checksum, named))
            stream.seek(after)
    return np.array(places, np.int64).reshape(-1, 4)


@contextmanager
def _open_tar(location: Location) -> Iterator[tuple[IO[bytes], tarfile.TarFile]]:
    with (
        open_location(location) as stream,
        tarfile.open(fileobj=stream, mode="r:", tarinfo=CheckedMember) as tar,
    ):
        yield stream, tar


def _image_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # else it keeps them all
        if not member.isreg() or not is_image_member(member.name):
            continue
        if member.sparse is not None or member.size > _LARGEST_IMAGE:
            kind = "a sparse file" if member.sparse is not None else "larger than 256 MB"
            raise tarfile.ReadError(f"{member.name} is {kind}")
        yield member


def _load(file: Path) -> NDArray[np.int64] | None:
    """Return stored places; None where there are none, or they are damaged."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            places: NDArray[np.int64] = stored["places"]  # whose CRC-32 the archive has
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return places if places.dtype == np.int64 and places.shape[1:] == (4,) else None


def _unreadable(location: Location, error: Exception) -> DataError:
    strerror = error.strerror if isinstance(error, OSError) else None
    reason = (strerror or " ".join(str(error).split()) or type(error).__name__).lower()
    if isinstance(error, FileNotFoundError):
        reason = "no such file"
    return DataError(f"cannot read {location}: {reason}")


def _absolute(location: Location) -> str:
    return str(location.absolute() if isinstance(location, Path) else location)


def _name_digest(member: str) -> int:
    encoded = member.encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(encoded, digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _digest(contents: bytes) -> str:
    return hashlib.blake2b(contents, digest_size=16).hexdigest()


class ShardImages(Sequence[bytes]):
    """The images of all shards, one after another, each read when indexed."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._first = np.cumsum([0, *map(len, shards)])
        self._numbers = {_absolute(shard.location): n for n, shard in enumerate(shards)}

    def __len__(self) -> int:
        return int(self._first[-1])

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, int | np.integer):
            shard, number = self.place(index)
            return shard.read(number, number + 1)[0]
        start, stop, step = index.indices(len(self))
        if step != 1:
            return [self[i] for i in range(start, stop, step)]
        return [
            each for shard, one, two in self._runs(start, stop) for each in shard.read(one, two)
        ]

    def place(self, index: int) -> tuple[Shard, int]:
        """Return the shard of an image, and its number in it."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index = index % len(self)
        number = int(np.searchsorted(self._first, index, "right")) - 1
        return self._shards[number], int(index - self._first[number])

    def indices(self, url: str) -> list[int]:
        """Return the indices of the images that have a URL, as :meth:`Shard.name` makes it."""
        member, _, location = url.removeprefix(_TAR).partition(_CHAIN)
        if not url.startswith(_TAR):
            return []
        while location:
            if (number := self._numbers.get(location)) is not None:
                first = int(self._first[number])
                return [first + each for each in self._shards[number].numbers(member)]
            more, _, location = location.partition(_CHAIN)  # of the name of the member
            member = f"{member}{_CHAIN}{more}"
        return []

    def _runs(self, start: int, stop: int) -> Iterator[tuple[Shard, int, int]]:
        while start < stop:
            shard, number = self.place(start)
            many = min(stop - start, len(shard) - number)
            yield shard, number, number + many
            start += many

    def blocks(self) -> Blocks:
        """Return the blocks of the images."""
        bounds, digests, versions = [0], [], []
        for shard in self._shards:
            first = bounds[-1]
            cuts = shard.cuts()
            for start, stop in pairwise(cuts):
                own = shard.places[start:stop, [_SIZE, _CHECKSUM]].tobytes()
                digests.append(_digest(own))
                stored = f"{shard.location} {shard.version} {start}".encode(errors="replace")
                versions.append(_digest(stored + own))
                bounds.append(first + stop)
        return Blocks(np.array(bounds, np.int64), digests, versions)


class ShardNames(Sequence[str]):
    """The names of the images of all shards, each read when indexed."""

    def __init__(self, images: ShardImages) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        shard, number = self._images.place(index)
        return shard.name(number)

    def indices(self, name: str) -> list[int]:
        """Return the indices of the images of this name; no archive is read."""
        return self._images.indices(name)
