"""Disk cache of decoded images, so that no file is decoded twice at the same size.

There is one ``.npy`` file for each list of image files. Its name is a hash of the contents of the
files, the shape and the preprocessing. Paths, sizes and times do not count, since an archive may
restore other images with the same ones. The SHA-256 of its contents is at its end; a file that is
damaged is created again. The most recently used files within a limit are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions
from bigan_cli.locations.cache_folder import cache_root

LIMIT_BYTES = 20 * 2**30
_DAY = 86_400
_DIGEST_BYTES = 32
_BLOCK = 2**24

Pixels = NDArray[np.uint8]


def files_key(
    paths: Sequence[Path],
    shape: ImageShape,
    options: DecodeOptions = DEFAULTS,
    workers: int = 0,
) -> str:
    """Return a key for the pixels of *paths* at *shape*, from the contents of the files.

    Every file is read, which takes a fraction of the time of decoding it.

    Args:
        paths: The files, in the order of their pixels.
        shape: Shape of the images.
        options: How the files are decoded.
        workers: Number of threads; 0 for one per core, at most 8.

    Raises:
        OSError: One of the files cannot be read.
    """
    settings = [PREPROCESSING, str(shape), options.sample_bits, options.keep_aspect]
    described = hashlib.sha256(json.dumps(settings).encode())
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))
    try:
        for digest in pool.map(_content_digest, paths, chunksize=64):
            described.update(digest)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return described.hexdigest()


def _content_digest(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would block
        raise OSError(f"{path} is not a regular file")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def cached(
    key: str, shape: tuple[int, ...], fill: Callable[[Pixels], None], folder: Path | None = None
) -> Pixels:
    """Return the array stored under *key*, memory-mapped; *fill* creates it if missing.

    Two processes may do this at once: each writes a temporary file, and the last to finish
    replaces the other's (equal) file.

    Args:
        key: Identifies the content.
        shape: Shape of the whole array.
        fill: Fills the array in place; if it raises, nothing is kept.
        folder: The cache folder; by default in :func:`cache_root`.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    folder = folder or cache_root() / "images"
    path = folder / f"{key}.npy"
    stored = _load(path, shape) if _is_whole(path) else None
    if stored is not None:
        with suppress(OSError):  # a read-only cache is usable
            os.utime(path)  # counts as used, see _prune
        return stored
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{key[:16]}.", suffix=".tmp", dir=folder)
    os.close(handle)
    temporary = Path(name)
    try:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(temporary)
        fill(array)
        array.flush()
        del array
        _append_digest(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _prune(folder, path)
    made = _load(path, shape)
    if made is None:
        raise OSError(f"{path} cannot be read back")
    return made


def _reserve(path: Path) -> None:
    """Allocate the space on disk: a full disk under a memory map would kill the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _append_digest(path: Path) -> None:
    with path.open("r+b") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
        stream.seek(0, os.SEEK_END)
        stream.write(digest)


def _is_whole(path: Path) -> bool:
    """Return whether the file at *path* ends with the digest of what is before it."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            left = os.fstat(stream.fileno()).st_size - _DIGEST_BYTES
            while left > 0:
                block = stream.read(min(left, _BLOCK))
                if not block:
                    return False
                digest.update(block)
                left -= len(block)
            return stream.read() == digest.digest()
    except OSError:
        return False


def _load(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # missing or incomplete
        return None
    fits = array.dtype == np.uint8 and array.shape == shape
    return array if fits else None


def _prune(folder: Path, keep: Path) -> None:
    """Remove the least recently used files until the rest is within the limit."""
    with suppress(OSError):
        for left_over in folder.glob(".*.tmp"):  # from a killed process
            if time.time() - left_over.stat().st_mtime > _DAY:
                left_over.unlink()
        files = [(p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.npy")]
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total > LIMIT_BYTES and path != keep:
                path.unlink()
                total -= size
