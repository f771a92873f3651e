"""Simulation of stragglers and failures: a week of scoring on 1,000 workers, in numbered parts.

A worker takes the next part that no other has, starts ``bigan score``, and writes the part when it
is done. A worker that fails loses the part it works on, and another one takes it. A share of the
workers is slow, and every part takes its own time. Figures are simulated, not measured.

    python benchmarks/scaling_simulation.py --image-seconds 0.0254
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass

import numpy as np

HOUR = 3600.0
# Images in a part.
SIZES = (25_000, 100_000, 400_000, 1_600_000, 6_400_000)


@dataclass(frozen=True)
class Cluster:
    """What happens to the workers.

    Attributes:
        workers: How many there are.
        failure_hours: Mean time between failures of a worker, exponentially distributed.
        restart_seconds: Until another worker replaces one that failed.
        start_seconds: Of a process, until it scores: imports, the model.
        slow_share: The share of workers that are slow.
        slow_factor: How many times as long they take.
        spread: Standard deviation of the logarithm of the time of a part.
    """

    workers: int = 1000
    failure_hours: float = 500.0
    restart_seconds: float = 120.0
    start_seconds: float = 10.0
    slow_share: float = 0.02
    slow_factor: float = 3.0
    spread: float = 0.1


@dataclass(frozen=True)
class Outcome:
    """How a simulated job went; all times in seconds, those of work added over the workers.

    Attributes:
        finished: When the last part was written.
        useful: Scoring of parts that were written.
        lost: Work on parts whose worker failed.
        starting: Starts of processes.
        waiting: Replacement of workers that failed.
        idle: Of workers without a part, at the end.
        attempts: How often a part was started.
    """

    finished: float
    useful: float
    lost: float
    starting: float
    waiting: float
    idle: float
    attempts: int

    @property
    def waste(self) -> float:
        """The share of the workers' time that was not useful."""
        everything = self.useful + self.lost + self.starting + self.waiting + self.idle
        return 1 - self.useful / everything


def simulate(parts: int, part_seconds: float, cluster: Cluster, seed: int = 0) -> Outcome:
    """Return how a job of *parts* equal parts goes.

    Args:
        parts: How many parts there are.
        part_seconds: What one takes on an ordinary worker, without the start of its process.
        cluster: The workers.
        seed: Decides all that is random.
    """
    rng = np.random.default_rng(seed)
    factor = np.where(
        rng.random(cluster.workers) < cluster.slow_share, cluster.slow_factor, 1.0
    ).tolist()
    failing = rng.exponential(cluster.failure_hours * HOUR, cluster.workers).tolist()
    # The next free worker is the one that became free first.
    free = [(0.0, worker) for worker in range(cluster.workers)]
    waiting_parts, repeated = parts, 0
    lost = starting = useful = waiting = finished = 0.0
    attempts = 0
    # Parts of workers that will fail come back when they do.
    returning: list[float] = []
    last_free = [0.0] * cluster.workers
    while waiting_parts or returning:
        now, worker = heapq.heappop(free)
        if not waiting_parts:
            now = max(now, returning[0])  # idle until a part comes back
        while returning and returning[0] <= now:
            heapq.heappop(returning)
            waiting_parts, repeated = waiting_parts + 1, repeated + 1
        waiting_parts -= 1
        attempts += 1
        work = part_seconds * factor[worker] * float(rng.lognormal(0, cluster.spread))
        end = now + cluster.start_seconds + work
        if failing[worker] < end:
            failed = max(failing[worker], now)
            spent = failed - now
            starting += min(spent, cluster.start_seconds)
            lost += max(0.0, spent - cluster.start_seconds)
            waiting += cluster.restart_seconds
            heapq.heappush(returning, failed)
            end = failed + cluster.restart_seconds
            failing[worker] = end + float(rng.exponential(cluster.failure_hours * HOUR))
        else:
            starting, useful = starting + cluster.start_seconds, useful + work
            finished = max(finished, end)
        last_free[worker] = end
        heapq.heappush(free, (end, worker))
    total = cluster.workers * finished
    idle = max(0.0, total - useful - lost - starting - waiting)
    return Outcome(finished, useful, lost, starting, waiting, idle, attempts)


def table(images: int, image_seconds: float, cluster: Cluster, seed: int) -> list[str]:
    """Return a Markdown table of the outcome for parts of different sizes."""
    lines = [
        "| images a part | parts | part takes | attempts | ends | lost | starts | idle | waste |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for size in SIZES:
        parts = -(-images // size)
        found = simulate(parts, size * image_seconds, cluster, seed)
        whole = cluster.workers * found.finished
        shares = (found.lost, found.starting, found.idle)
        shown = " | ".join(f"{share / whole:.2%}" for share in shares)
        lines.append(
            f"| {size:,} | {parts:,} | {_time(size * image_seconds)} | {found.attempts:,} "
            f"| {_time(found.finished)} | {shown} | {found.waste:.2%} |"
        )
    return lines


def _time(seconds: float) -> str:
    if seconds < HOUR:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 48 * HOUR else f"{seconds / HOUR / 24:.1f} days"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--images", type=int, help="images in all [a week's work of the workers]")
    add("--image-seconds", type=float, default=0.0254, help="of a worker [%(default)s]")
    add("--workers", type=int, default=Cluster.workers)
    add("--failure-hours", type=float, default=Cluster.failure_hours)
    add("--slow-share", type=float, default=Cluster.slow_share)
    add("--seed", type=int, default=0)
    given = parser.parse_args()
    cluster = Cluster(given.workers, given.failure_hours, slow_share=given.slow_share)
    images = given.images or int(cluster.workers * 7 * 24 * HOUR / given.image_seconds)
    print("\n".join(table(images, given.image_seconds, cluster, given.seed)))


if __name__ == "__main__":
    main()
