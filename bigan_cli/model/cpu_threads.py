"""CPU threads that compute each operation alone, without changing anybody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
_LOCK = threading.Lock()


def single_threaded_pool(workers: int, name: str) -> ThreadPoolExecutor:
    """Return a pool whose threads each compute a CPU operation alone.

    Several batches at a time, each on one thread, are through sooner than one after the other
    on all threads, which would wait for each other at every layer. And the number of cores no
    longer decides the order of sums: a model gives the same scores on few cores and on many.
    """
    return ThreadPoolExecutor(workers, thread_name_prefix=name, initializer=_use_one_thread)


def run_single_threaded(function: Callable[[], T]) -> T:
    """Return what *function* returns, computed in a thread of :func:`single_threaded_pool`."""
    if torch.get_num_threads() == 1:
        return function()
    with single_threaded_pool(1, "compute") as pool:
        return pool.submit(function).result()


def _use_one_thread() -> None:
    """Have the calling thread, which is new, compute its operations alone.

    ``torch.set_num_threads`` applies to the calling thread and to threads that start later.
    The second is undone, from a third thread, so that only this one is changed.
    """
    with _LOCK:
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(default,))
        restoring.start()
        restoring.join()
