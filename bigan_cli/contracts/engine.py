"""The contract of engines, which spread a scoring over processes and machines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bigan_cli.contracts.options import AnyOptions, Options

PartWorker = Callable[[int], None]
"""Scores the part of a number and writes it whole; doing it twice does no harm."""


@dataclass(frozen=True)
class Cluster:
    """What a scoring may use.

    Attributes:
        address: Where the cluster is, in the engine's own terms; None for this machine.
        workers: How many processes score at a time; None to leave it to the engine.
        gpus: GPUs of each process; 0 or 1.
    """

    address: str | None = None
    workers: int | None = None
    gpus: int = 0


class Engine(ABC):
    """Spreads a scoring over processes, such as the actors of a Ray cluster.

    bigan cuts the inputs into numbered parts, and the parts become one file when all are written.
    All that an engine does is to call a worker with each number, somewhere. A process that dies
    may be replaced, and its parts scored again.

    Class attributes:
        name: Unique, lower case, words joined by ``_``.
        summary: One line for tables.
        Options: An engine has no options of its own.
        provided_by: See :class:`Dataset`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[AnyOptions]] = Options
    provided_by: str = ""

    @abstractmethod
    def run(
        self, make_worker: Callable[[], PartWorker], parts: Sequence[int], cluster: Cluster
    ) -> Iterator[int]:
        """Score *parts*, in any order, and yield the number of each one that is done.

        Args:
            make_worker: Can be pickled. Called once in each process; it loads the model.
            parts: The numbers of the parts.
            cluster: What to use.
        """
