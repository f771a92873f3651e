"""The processes of one training, as ``torchrun`` starts them.

They communicate through ``torch.distributed``: gloo for tensors on a CPU, NCCL on GPUs. A group of
one process, which is the default everywhere, communicates with nobody and imports nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from bigan_cli.errors import ProcessEndedError, UsageError
from bigan_cli.process_rank import can_communicate

# To find each other, while some processes may still be importing.
_START = timedelta(minutes=10)
# To wait for each other: one process saves, or cross-fits, while the others wait. A process that
# has ended is noticed at once, by its closed connection.
_WAIT = timedelta(days=7)
_FAILURES = "bigan_failures"


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of a training; all must call the same methods in the same order.

    Attributes:
        rank: The number of this process, from 0. Process 0 writes the run's files.
        size: The number of processes.
        store: The key-value store of the processes; None with one process.
    """

    rank: int = 0
    size: int = 1
    store: Any = None

    def any(self, flag: bool) -> bool:
        """Return whether *flag* is true in any process; waits for all of them."""
        if self.size == 1:
            return flag
        total = torch.tensor([float(flag)])
        _sum(total)
        return bool(total.item() > 0)

    def average_(self, tensor: Tensor) -> Tensor:
        """Replace *tensor* by its mean over the processes, and return it."""
        if self.size > 1:
            _sum(tensor)
            tensor /= self.size
        return tensor

    def average_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replace the gradients by their means over the processes, in one flat buffer."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.average_(torch.cat([gradient.flatten() for gradient in gradients]))
        pieces = flat.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Replace *tensors* by those of process 0."""
        if self.size == 1:
            return
        import torch.distributed as dist

        with torch.no_grad(), _peers():
            for tensor in tensors:
                whole = tensor.contiguous()
                dist.broadcast(whole, src=0)
                if whole is not tensor:
                    tensor.copy_(whole)

    def shares(self, count: int) -> list[slice]:
        """Return the equal parts of *count* rows that the processes have, one after another."""
        bounds = [count * rank // self.size for rank in range(self.size + 1)]
        return [slice(first, end) for first, end in pairwise(bounds)]

    @property
    def own_turns(self) -> slice:
        """The items of this process in a sequence that the processes take in turn."""
        return slice(self.rank, None, self.size)

    def exchange(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of *tensors*, which the processes take in turn, by that of its process.

        Args:
            tensors: Contiguous; the same number and the same shapes in all processes.
        """
        if self.size == 1:
            return
        import torch.distributed as dist

        with _peers():
            for number, tensor in enumerate(tensors):
                if tensor.numel():
                    dist.broadcast(tensor, src=number % self.size)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes to process 0, and an empty list to the others."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values = [None] * self.size if self.rank == 0 else None
        with _peers():
            dist.gather_object(value, values)
        return values or []

    def wait_for_first(self) -> None:
        """Wait until process 0 has ended. Only for the others, as the last they do.

        torchrun takes a process that ends as interrupted for a failure and stops the rest, which
        must not hit process 0 while it saves.
        """
        with suppress(ProcessEndedError):
            self.any(flag=False)

    def fails_first(self) -> bool:
        """Return whether this is the first process that fails, which is the one to say why."""
        if self.size == 1:
            return True
        try:
            return bool(self.store.add(_FAILURES, 1) == 1)
        except RuntimeError:  # the process with the store has ended
            return True


@contextmanager
def open_process_group() -> Iterator[ProcessGroup]:
    """Yield the group of the processes that ``torchrun`` has started this one with.

    It is a group of one unless ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT`` are
    set for more.

    Raises:
        UsageError: The processes cannot find each other, or this build of PyTorch cannot do it.
    """
    if not can_communicate():
        yield ProcessGroup()
        return
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    if not dist.is_available():
        raise UsageError("this build of PyTorch cannot train on several processes")
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=_START)))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=_WAIT,
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"the {os.environ['WORLD_SIZE']} processes cannot find each other at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
            "start them with torchrun, and let them reach each other",
        ) from error
    try:
        yield ProcessGroup(rank, size, store)
    finally:
        dist.destroy_process_group()


def average(tensor: Tensor, size: int) -> Tensor:
    """Return the mean of *tensor* over *size* processes; gradients flow back to all of them."""
    result: Tensor = _Average.apply(tensor, size)
    return result


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, size: int) -> Tensor:
        ctx.size = size
        total = tensor.detach().clone()
        _sum(total)
        return total.div_(size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.contiguous().clone()
        _sum(total)
        return total.div_(ctx.size), None


def _sum(tensor: Tensor) -> None:
    import torch.distributed as dist

    with _peers():
        dist.all_reduce(tensor)


@contextmanager
def _peers() -> Iterator[None]:
    """Convert the errors of torch.distributed, which name addresses, into a ProcessEndedError."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessEndedError(
            "another process of this training has ended, so it stopped",
            "see what ended it, then continue from the last save with 'resume=True'",
        ) from error
