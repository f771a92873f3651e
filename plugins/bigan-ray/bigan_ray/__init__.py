"""Scoring on Ray: a pool of actors, each of which loads the model once, scores the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bigan_cli.contracts.engine import Cluster, Engine, PartWorker
from bigan_cli.hookspecs import hookimpl

bigan_api = 1

# Actors at a time where the user names no number.
_WORKERS = 2


class RayEngine(Engine):
    """Spreads parts over the actors of Ray Data, on this machine or a cluster.

    Only the numbers of parts travel through Ray. Actors read the images, decode them and write
    the rows themselves; where one dies, Ray starts another and repeats what it had not finished.
    """

    name = "ray"
    summary = "Ray Data: a pool of actors on this machine or a cluster"

    def run(
        self, make_worker: Callable[[], PartWorker], parts: Sequence[int], cluster: Cluster
    ) -> Iterator[int]:
        """Score *parts*; a Ray that runs already is used, and left running."""
        import ray

        started = not ray.is_initialized()
        if started:
            ray.init(address=cluster.address, log_to_driver=False)
        try:
            # A block for each part, so that a dead actor repeats one part only.
            numbers = ray.data.from_items(list(parts), override_num_blocks=len(parts))
            scored = numbers.map_batches(
                _Actor,
                fn_constructor_args=(make_worker,),
                batch_size=1,
                concurrency=min(len(parts), cluster.workers or _WORKERS),
                num_cpus=1,
                num_gpus=cluster.gpus,
            )
            for row in scored.iter_rows():
                yield int(row["item"])
        finally:
            if started:
                ray.shutdown()


class _Actor:
    """One process with a loaded model."""

    def __init__(self, make_worker: Callable[[], PartWorker]) -> None:
        self._score_part = make_worker()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for number in batch["item"]:
            self._score_part(int(number))
        return batch


@hookimpl
def bigan_engines() -> list[type[Engine]]:
    """Return the engine of this package."""
    return [RayEngine]
