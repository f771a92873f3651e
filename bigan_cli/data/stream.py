"""Images by the stream: found, read, decoded and worked on ahead of whoever wants them, in order.

Memory does not grow with the number of files: a few batches are under way and no more.
"""

from __future__ import annotations

import os
import queue
import threading
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import SourceFormat, read_file
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions
from bigan_cli.data.unreadable import UnreadableImage
from bigan_cli.errors import DataError
from bigan_cli.image_files import UnlistableFolder, find_images

T = TypeVar("T")

# Tasks that the decoding of a batch is cut into for each thread: few, since a task costs as much
# as a tiny image, but more than one, so that threads end together.
_SHARES = 2
_AHEAD_BYTES = 256 * 2**20


@dataclass(slots=True)
class DecodedImage:
    """One input: its pixels, or why there are none.

    Attributes:
        path: Of the file, or of a folder that cannot be listed.
        pixels: uint8 ``[C, H, W]``, or None.
        found: What the file held before it was brought to shape, or None.
        error: Why there are no pixels, in a few plain words; empty where there are.
    """

    path: Path
    pixels: NDArray[np.uint8] | None = None
    found: SourceFormat | None = None
    error: str = ""


def paths_from(descriptor: int, separator: bytes = b"\n") -> Iterator[Path]:
    r"""Yield the paths of a list read from an open file, each as soon as it is there.

    Args:
        descriptor: Read with ``os.read``, so that a reader waiting for more holds no lock.
        separator: ``b"\n"`` (a ``\r`` before it is dropped) or ``b"\0"``; empty entries are
            skipped. A byte order mark of UTF-8 before the first is dropped.

    Raises:
        DataError: The list is in UTF-16.
    """
    rest, marked = b"", False
    while block := os.read(descriptor, 65536):
        rest += block
        if not marked:
            if len(rest) < len(BOM_UTF8) and BOM_UTF8.startswith(rest):
                continue  # the mark may yet be completed
            marked = True
            if rest.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
                raise DataError(
                    "the list of paths is in UTF-16",
                    "write it in UTF-8; in PowerShell, with Out-File -Encoding utf8",
                )
            rest = rest.removeprefix(BOM_UTF8)
        *entries, rest = rest.split(separator)
        yield from _as_paths(entries, separator)
    yield from _as_paths([rest], separator)


def _as_paths(entries: Iterable[bytes], separator: bytes) -> Iterator[Path]:
    for entry in entries:
        name = entry.removesuffix(b"\r") if separator == b"\n" else entry
        if name:
            yield Path(os.fsdecode(name))


def find_inputs(paths: Iterable[Path], recursive: bool = True) -> Iterator[Path | DecodedImage]:
    """Yield the images under *paths*, and a failed DecodedImage for an unreadable folder."""
    for item in find_images(paths, recursive):
        if isinstance(item, UnlistableFolder):
            yield DecodedImage(item.path, error=item.reason)
        else:
            yield item


def decode_ahead(
    inputs: Iterable[Path | DecodedImage],
    shape: ImageShape,
    batch_size: int,
    *,
    workers: int = 0,
    patience: float = 0.1,
    options: DecodeOptions = DEFAULTS,
) -> Iterator[list[DecodedImage]]:
    """Yield the inputs in batches, in their order; :func:`map_batches` without work."""
    return map_batches(
        inputs,
        shape,
        batch_size,
        _as_it_is,
        workers=workers,
        patience=patience,
        options=options,
    )


def map_batches(
    inputs: Iterable[Path | DecodedImage],
    shape: ImageShape,
    batch_size: int,
    work: Callable[[list[DecodedImage]], T],
    *,
    workers: int = 0,
    patience: float = 0.1,
    options: DecodeOptions = DEFAULTS,
) -> Iterator[T]:
    """Yield what *work* makes of each batch of inputs, in their order, a few batches ahead.

    A thread of its own walks through *inputs*, which may take their time (a list on standard
    input). A few more decode, and the one that decodes the last image of a batch does the work
    on it: as many threads as cores are busy, and none waits for another. An error that *inputs*
    or *work* raise is raised here in its turn.

    Args:
        inputs: Paths to decode; what is a :class:`DecodedImage` already is passed on.
        shape: Of the pixels wanted.
        batch_size: Inputs in a batch; fewer in the last one, and where *inputs* stall.
        work: Called in one of several threads, for several batches at a time.
        workers: Threads that decode and work; 0 for one a core, at most 8.
        patience: Seconds that nothing comes of the inputs before a batch goes out that is not full.
        options: How files are read.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    image_bytes = shape.channels * shape.height * shape.width
    # Each thread has a batch to work on, and as many wait for it: or fewer where they are big.
    ahead = min(workers + 2, max(2, _AHEAD_BYTES // (image_bytes * batch_size)))
    flow = _Flow(partial(_read, shape, options), batch_size, work, workers, ahead)
    # A daemon, since it may wait for ever on an input that nobody closes.
    threading.Thread(target=flow.feed, args=(inputs,), name="inputs", daemon=True).start()
    try:
        yield from flow.results(patience)
    finally:
        flow.stop()


Read = Callable[[Path | DecodedImage], DecodedImage]


class _Flow(Generic[T]):
    """Inputs on their way through the threads.

    Args:
        read: Decodes one input.
        batch_size: Inputs in a batch.
        work: What is done with a decoded batch.
        workers: How many threads do it.
        ahead: How many batches may be in progress.
    """

    def __init__(
        self,
        read: Read,
        batch_size: int,
        work: Callable[[list[DecodedImage]], T],
        workers: int,
        ahead: int,
    ) -> None:
        self._read = read
        self._batch_size = batch_size
        self._work = work
        self._share = max(1, -(-batch_size // (_SHARES * workers)))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._gathered: list[Path | DecodedImage] = []
        self._lock = threading.Lock()
        self._order: queue.SimpleQueue[Future[T] | None] = queue.SimpleQueue()
        self._stopped = False
        self._slots = threading.Semaphore(ahead)

    def feed(self, inputs: Iterable[Path | DecodedImage]) -> None:
        """Gather *inputs* into batches until there are no more, or nobody wants them."""
        try:
            for item in inputs:
                with self._lock:
                    self._gathered.append(item)
                    full = len(self._gathered) >= self._batch_size
                if full:
                    self._dispatch(wait=True)
                if self._stopped:
                    return
            self._dispatch(wait=True)
        except BaseException as error:  # noqa: BLE001  it is raised where the results are taken
            if self._stopped:
                return
            with suppress(Exception):  # should that be what failed, it is told below
                self._dispatch(wait=True)
            failed: Future[T] = Future()
            failed.set_exception(error)
            self._order.put(failed)
        self._order.put(None)

    def results(self, patience: float) -> Iterator[T]:
        """Yield the results in order."""
        while True:
            try:
                future = self._order.get(timeout=patience)
            except queue.Empty:  # all that is under way has been handed out
                self._dispatch(wait=False)
                continue
            if future is None:
                return
            yield future.result()
            self._slots.release()

    def stop(self) -> None:
        """End the threads; what has not begun is dropped."""
        self._stopped = True
        self._slots.release()  # for the feeding thread, should it wait for one
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _dispatch(self, *, wait: bool) -> None:
        """Send off what is gathered, if anything, once there is room for it."""
        if not self._slots.acquire(blocking=wait):
            return
        with self._lock:
            items, self._gathered = self._gathered, []
            if not items or self._stopped:
                self._slots.release()
                return
            batch = _Batch(items, self._read, self._work)
            for start in range(0, len(items), self._share):
                self._pool.submit(batch.decode, start, start + self._share)
            # Only now, since nobody would ever finish what could not be submitted.
            self._order.put(batch.future)


class _Batch(Generic[T]):
    """Inputs that are worked on together, once each is decoded."""

    def __init__(
        self,
        items: list[Path | DecodedImage],
        read: Read,
        work: Callable[[list[DecodedImage]], T],
    ) -> None:
        self.future: Future[T] = Future()
        self._items = items
        self._read = read
        self._work = work
        self._missing = len(items)
        self._lock = threading.Lock()
        self._reads: list[DecodedImage | None] = [None] * len(items)

    def decode(self, start: int, stop: int) -> None:
        """Decode a part of the inputs; whoever is the last does the work."""
        try:
            done = [self._read(item) for item in self._items[start:stop]]
            self._reads[start : start + len(done)] = done
            with self._lock:
                self._missing -= len(done)
                last = self._missing == 0
            if last:
                self.future.set_result(self._work([r for r in self._reads if r is not None]))
        except BaseException as error:  # noqa: BLE001  it is raised where the results are taken
            self.future.set_exception(error)


def _as_it_is(batch: list[DecodedImage]) -> list[DecodedImage]:
    return batch


def _read(shape: ImageShape, options: DecodeOptions, item: Path | DecodedImage) -> DecodedImage:
    if isinstance(item, DecodedImage):
        return item
    try:
        pixels, found = read_file(item, shape, options)
    except UnreadableImage as error:
        return DecodedImage(item, error=error.reason)
    return DecodedImage(item, pixels, found)
