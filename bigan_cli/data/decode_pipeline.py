"""A pipeline that finds, reads and decodes images and maps a function over batches, in order.

Memory does not grow with the number of files: at most a few batches are in progress.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import SourceFormat, read_source
from bigan_cli.data.image_file import DEFAULTS, DecodeOptions
from bigan_cli.data.sources.image_source import Failed, Found, ImageContents, source_name
from bigan_cli.data.unreadable import UnreadableImage

T = TypeVar("T")

# Decoding tasks per thread and batch: few, since a task costs as much as decoding a tiny image,
# but more than one, to balance the load.
_SHARES = 2
_AHEAD_BYTES = 256 * 2**20
# A batch is complete with so many bytes of undecoded images, too: these are in memory.
_BATCH_BYTES = 32 * 2**20


@dataclass(slots=True)
class DecodedImage:
    """The pixels of one input, or the reason why there are none.

    Attributes:
        source: The image, or an input that could not be read as far as an image.
        pixels: uint8 ``[C, H, W]``, or None.
        found: Format of the file before conversion and resizing, or None.
        error: Why there are no pixels, in a few words; empty if there are.
    """

    source: Found
    pixels: NDArray[np.uint8] | None = None
    found: SourceFormat | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """Its name in results."""
        return source_name(self.source)


Decode = Callable[[Found], DecodedImage]


def decode_ahead(
    inputs: Iterable[Found],
    shape: ImageShape,
    batch_size: int,
    *,
    workers: int = 0,
    flush_after: float = 0.1,
    options: DecodeOptions = DEFAULTS,
) -> Iterator[list[DecodedImage]]:
    """Yield the decoded inputs in batches, in order; see :func:`map_batches`."""
    return map_batches(
        inputs,
        shape,
        batch_size,
        _identity,
        workers=workers,
        flush_after=flush_after,
        options=options,
    )


def map_batches(
    inputs: Iterable[Found],
    shape: ImageShape,
    batch_size: int,
    work: Callable[[list[DecodedImage]], T],
    *,
    workers: int = 0,
    flush_after: float = 0.1,
    options: DecodeOptions = DEFAULTS,
) -> Iterator[T]:
    """Yield ``work(batch)`` for each batch of inputs, in order, computed a few batches ahead.

    One thread iterates over *inputs*, which may block (a list on standard input). The others
    decode, and the thread that decodes the last image of a batch calls *work* on it, so every
    core is busy and none waits. An exception of *inputs* or *work* is raised here, in order.

    Args:
        inputs: Images to decode; of a failed input, its reason is passed through.
        shape: Shape of the decoded images.
        batch_size: Inputs per batch; fewer in the last one, and where *inputs* stall.
        work: Called from several threads at the same time.
        workers: Number of threads; 0 for one per core, at most 8.
        flush_after: Seconds without a new input after which an incomplete batch is processed.
        options: How files are read.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    image_bytes = shape.channels * shape.height * shape.width
    # One batch per thread and two more; fewer if they are large.
    ahead = min(workers + 2, max(2, _AHEAD_BYTES // (image_bytes * batch_size)))
    pipeline = _Pipeline(partial(_read, shape, options), batch_size, work, workers, ahead)
    # A daemon, since it may wait forever for an input that is never closed.
    threading.Thread(target=pipeline.feed, args=(inputs,), name="inputs", daemon=True).start()
    try:
        yield from pipeline.results(flush_after)
    finally:
        pipeline.stop()


class _Pipeline(Generic[T]):
    """The threads of :func:`map_batches` and the batches in progress.

    Args:
        decode: Decodes one input.
        batch_size: Inputs per batch.
        work: Called with each decoded batch.
        workers: Number of threads.
        ahead: Largest number of batches in progress.
    """

    def __init__(
        self,
        decode: Decode,
        batch_size: int,
        work: Callable[[list[DecodedImage]], T],
        workers: int,
        ahead: int,
    ) -> None:
        self._decode_one = decode
        self._batch_size = batch_size
        self._work = work
        self._share = max(1, -(-batch_size // (_SHARES * workers)))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._gathered: list[Found] = []
        self._gathered_bytes = 0
        self._lock = threading.Lock()
        self._order: queue.SimpleQueue[Future[T] | None] = queue.SimpleQueue()
        self._stopped = False
        self._slots = threading.Semaphore(ahead)

    def feed(self, inputs: Iterable[Found]) -> None:
        """Gather *inputs* into batches until they end or :meth:`stop` is called."""
        try:
            for item in inputs:
                with self._lock:
                    self._gathered.append(item)
                    if isinstance(item, ImageContents):
                        self._gathered_bytes += len(item.contents)
                    full = (
                        len(self._gathered) >= self._batch_size
                        or self._gathered_bytes >= _BATCH_BYTES
                    )
                if full:
                    self._dispatch(wait=True)
                if self._stopped:
                    return
            self._dispatch(wait=True)
        except BaseException as error:  # noqa: BLE001  raised by the consumer
            if self._stopped:
                return
            with suppress(Exception):  # if this is what failed, the error follows below
                self._dispatch(wait=True)
            failed: Future[T] = Future()
            failed.set_exception(error)
            self._order.put(failed)
        self._order.put(None)

    def results(self, flush_after: float) -> Iterator[T]:
        """Yield the results in order."""
        while True:
            try:
                future = self._order.get(timeout=flush_after)
            except queue.Empty:  # all results so far have been yielded
                self._dispatch(wait=False)
                continue
            if future is None:
                return
            yield future.result()
            self._slots.release()

    def stop(self) -> None:
        """Stop the threads; pending tasks are dropped."""
        self._stopped = True
        self._slots.release()  # in case the feeding thread waits for one
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _dispatch(self, *, wait: bool) -> None:
        """Submit the gathered inputs, if any; wait for a free slot or give up."""
        if not self._slots.acquire(blocking=wait):
            return
        with self._lock:
            items, self._gathered = self._gathered, []
            self._gathered_bytes = 0
            if not items or self._stopped:
                self._slots.release()
                return
            batch = _Batch(items, self._decode_one, self._work)
            for start in range(0, len(items), self._share):
                self._pool.submit(batch.decode, start, start + self._share)
            # After submitting: a future that was not submitted would never finish.
            self._order.put(batch.future)


class _Batch(Generic[T]):
    """The inputs of a batch; its future has the result of ``work``."""

    def __init__(
        self,
        items: list[Found],
        decode: Decode,
        work: Callable[[list[DecodedImage]], T],
    ) -> None:
        self.future: Future[T] = Future()
        self._items = items
        self._decode_one = decode
        self._work = work
        self._pending = len(items)
        self._lock = threading.Lock()
        self._decoded: list[DecodedImage | None] = [None] * len(items)

    def decode(self, start: int, stop: int) -> None:
        """Decode some inputs; the last caller also does the work."""
        try:
            done = [self._decode_one(item) for item in self._items[start:stop]]
            self._decoded[start : start + len(done)] = done
            with self._lock:
                self._pending -= len(done)
                last = self._pending == 0
            if last:
                self.future.set_result(self._work([r for r in self._decoded if r is not None]))
        except BaseException as error:  # noqa: BLE001  raised by the consumer
            self.future.set_exception(error)


def _identity(batch: list[DecodedImage]) -> list[DecodedImage]:
    return batch


def _read(shape: ImageShape, options: DecodeOptions, item: Found) -> DecodedImage:
    if isinstance(item, Failed):
        return DecodedImage(item, error=item.reason)
    try:
        pixels, found = read_source(item, shape, options)
    except UnreadableImage as error:
        return DecodedImage(item, error=error.reason)
    return DecodedImage(item, pixels, found)
