"""Images by the stream: found, read and decoded ahead of whoever wants them, in order.

Memory does not grow with the number of files: a few batches are decoded ahead and no more.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import AsFound, UnreadableImage, read_file
from bigan_cli.data.discover import find_images
from bigan_cli.errors import DataError

_AHEAD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Read:
    """One input: its pixels, or why there are none.

    Attributes:
        path: Of the file, or of a folder that cannot be listed.
        pixels: uint8 ``[C, H, W]``, or None.
        found: What the file held before it was brought to shape, or None.
        error: Why there are no pixels, in a few plain words; empty where there are.
    """

    path: Path
    pixels: NDArray[np.uint8] | None = None
    found: AsFound | None = None
    error: str = ""


def paths_from(descriptor: int, separator: bytes = b"\n") -> Iterator[Path]:
    r"""Yield the paths of a list read from an open file, each as soon as it is there.

    Args:
        descriptor: Read with ``os.read``, so that a reader waiting for more holds no lock.
        separator: ``b"\n"`` (a ``\r`` before it is dropped) or ``b"\0"``; empty entries are
            passed over.
    """
    rest = b""
    while block := os.read(descriptor, 65536):
        *entries, rest = (rest + block).split(separator)
        yield from _as_paths(entries, separator)
    yield from _as_paths([rest], separator)


def _as_paths(entries: Iterable[bytes], separator: bytes) -> Iterator[Path]:
    for entry in entries:
        name = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if name:
            yield Path(os.fsdecode(name))


def find_inputs(paths: Iterable[Path], recursive: bool = True) -> Iterator[Path | Read]:
    """Yield the images that *paths* stand for, and a :class:`Read` for what cannot be listed."""
    for path in paths:
        try:
            yield from find_images([path], recursive)
        except DataError as error:
            yield Read(path, error=error.message)
        except OSError as error:  # a name that is too long, a folder one may not enter
            yield Read(path, error=(error.strerror or str(error)).lower())


def decode_ahead(
    inputs: Iterable[Path | Read],
    shape: ImageShape,
    batch_size: int,
    *,
    workers: int = 0,
    patience: float = 0.1,
) -> Iterator[list[Read]]:
    """Yield the inputs in batches, in their order, while the next ones are being decoded.

    A thread of its own walks through *inputs*, which may take their time (a list on standard
    input); a few more decode. An error that *inputs* raise is raised here in its turn.

    Args:
        inputs: Paths to decode; what is a :class:`Read` already is passed on.
        shape: Of the pixels wanted.
        batch_size: Inputs in a batch; fewer in the last one, and where *inputs* stall.
        workers: Threads that decode; 0 for one a core, at most 8.
        patience: Seconds to wait for inputs before a batch goes out that is not full.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    image_bytes = shape.channels * shape.height * shape.width
    slots = threading.Semaphore(max(workers, min(2 * batch_size, _AHEAD_BYTES // image_bytes)))
    waiting: queue.SimpleQueue[Future[Read] | None] = queue.SimpleQueue()
    stopped = threading.Event()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def feed() -> None:
        try:
            for item in inputs:
                slots.acquire()
                if stopped.is_set():
                    return
                waiting.put(pool.submit(_read, item, shape))
        except BaseException as error:  # noqa: BLE001  it is raised where the batches are taken
            failed: Future[Read] = Future()
            failed.set_exception(error)
            waiting.put(failed)
        waiting.put(None)

    # A daemon, since it may wait for ever on an input that nobody closes.
    threading.Thread(target=feed, name="inputs", daemon=True).start()
    try:
        yield from _batches(waiting, slots, batch_size, patience)
    finally:
        stopped.set()
        slots.release()
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(
    waiting: queue.SimpleQueue[Future[Read] | None],
    slots: threading.Semaphore,
    batch_size: int,
    patience: float,
) -> Iterator[list[Read]]:
    batch: list[Read] = []
    while True:
        try:
            future = waiting.get(timeout=patience if batch else None)
        except queue.Empty:
            yield batch
            batch = []
            continue
        if future is None:
            break
        batch.append(future.result())
        slots.release()
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _read(item: Path | Read, shape: ImageShape) -> Read:
    if isinstance(item, Read):
        return item
    try:
        pixels, found = read_file(item, shape)
    except UnreadableImage as error:
        return Read(item, error=error.reason)
    return Read(item, pixels, found)
