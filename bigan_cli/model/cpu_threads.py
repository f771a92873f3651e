"""CPU threads with one intra-op thread each, without changing the global setting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
_LOCK = threading.Lock()


def single_threaded_pool(workers: int, name: str) -> ThreadPoolExecutor:
    """Return a pool whose threads use one intra-op thread each.

    Several batches at a time on one thread each are faster than one batch at a time on all
    threads, which synchronise at every layer. And the order of summation no longer depends on the
    number of cores, so a model gives the same scores on any machine of the same kind.
    """
    return ThreadPoolExecutor(workers, thread_name_prefix=name, initializer=_use_one_thread)


def run_single_threaded(function: Callable[[], T]) -> T:
    """Return what *function* returns, computed in a thread of :func:`single_threaded_pool`."""
    if torch.get_num_threads() == 1:
        return function()
    with single_threaded_pool(1, "compute") as pool:
        return pool.submit(function).result()


def _use_one_thread() -> None:
    """Set the number of intra-op threads of the calling thread to 1.

    ``torch.set_num_threads`` also changes the default of threads that start later. Calling it
    again in another thread restores that default, so only the calling thread is changed.
    """
    with _LOCK:
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        restoring = threading.Thread(target=torch.set_num_threads, args=(default,))
        restoring.start()
        restoring.join()
