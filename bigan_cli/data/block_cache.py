"""Disk cache of the decoded pixels, or the features, of blocks of images that are read repeatedly.

Each block is one ``.npy`` file with the SHA-256 of its contents at its end; a file that is damaged
is created again. Once the cache is full, blocks are stored only in place of those that this process
has not used: replacing its own would write as much as it reads in every epoch. Several processes
may use one folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bigan_cli.atomic import atomic_write, remove_stale_temporaries

A = TypeVar("A", np.uint8, np.float16)

_DIGEST_BYTES = 32
# Seconds after which the blocks are counted again, since other processes store some, too.
_RECOUNT = 10.0


class BlockCache:
    """The blocks in a folder; thread-safe.

    Args:
        folder: Made when the first block is stored.
        limit: Most bytes of all blocks together; 0 keeps none.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._size: int | None = None
        self._counted = 0.0
        self._started = time.time()

    def load(self, key: str, dtype: type[A]) -> NDArray[A] | None:
        """Return the block stored under *key*.

        None if there is none, if it is damaged, or if it is not of *dtype*.
        """
        if not self._limit:
            return None
        path = self._path(key)
        try:
            contents = path.read_bytes()
            block, digest = contents[:-_DIGEST_BYTES], contents[-_DIGEST_BYTES:]
            if hashlib.sha256(block).digest() != digest:
                return None
            array: NDArray[A] = np.load(io.BytesIO(block), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        with suppress(OSError):  # a read-only cache is usable
            os.utime(path)  # used by this process, see _make_room
        return array if array.dtype == dtype else None

    def store(self, key: str, block: NDArray[A]) -> None:
        """Store *block* under *key* if there is room for it; a full disk is no error."""
        stream = io.BytesIO()
        np.save(stream, block)
        stream.write(hashlib.sha256(stream.getbuffer()).digest())
        contents = stream.getbuffer()
        path = self._path(key)
        with self._lock, suppress(OSError):
            if self._make_room(len(contents)):
                with atomic_write(path) as file:
                    file.write(contents)
                self._size = (self._size or 0) + len(contents)

    def _make_room(self, size: int) -> bool:
        """Return whether *size* bytes fit, now that blocks of other runs have made room."""
        if size > self._limit:
            return False
        if self._size is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_stale_temporaries(self._folder)
        if self._size is None or time.monotonic() - self._counted > _RECOUNT:
            self._size = sum(each.stat().st_size for each in self._folder.glob("*.npy"))
            self._counted = time.monotonic()
        if self._size + size > self._limit:
            self._remove_unused(self._size + size - self._limit)
        return self._size + size <= self._limit

    def _remove_unused(self, excess: int) -> None:
        """Remove *excess* bytes of blocks, least recently used first, none used by this process."""
        assert self._size is not None  # noqa: S101  known by the caller
        files = sorted((each.stat().st_mtime, each) for each in self._folder.glob("*.npy"))
        for used, file in files:
            if excess <= 0 or used >= self._started:
                break
            freed = file.stat().st_size
            file.unlink()
            self._size -= freed
            excess -= freed

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npy"
