"""A memory budget for all images that are being decoded, shared by all threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_CAPACITY = 1 * 2**30
# Smaller images are not counted: the threads cannot have enough of them.
_COUNTED_FROM = 16 * 2**20


class PixelBudget:
    """A number of bytes shared by the decoding threads.

    Args:
        capacity: Total bytes. An image that needs more waits until it is the only one.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Reserve *size* bytes, as soon as they are free."""
        if size < _COUNTED_FROM:
            yield
            return
        size = min(size, self._capacity)
        with self._changed:
            self._changed.wait_for(lambda: self._used + size <= self._capacity)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()


DECODING = PixelBudget()
"""The budget of this process."""
