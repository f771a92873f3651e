"""What the service counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable


class Metrics:
    """Counters and histograms of one service, in a registry of their own.

    Args:
        waiting: Returns how many images are decoded, wait or are scored now.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self.requests = Counter(
            "bigan_requests", "Requests to score.", ["code"], registry=self._registry
        )
        self.images = Counter(
            "bigan_images", "Images by their label.", ["model", "label"], registry=self._registry
        )
        self.seconds = Histogram(
            "bigan_request_seconds",
            "Time from the end of a request's headers to its answer.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self._registry,
        )
        self.batches = Histogram(
            "bigan_batch_images",
            "Images scored together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self._registry,
        )
        self.p_values = Histogram(
            "bigan_p_value",
            "P-values of the images; uniform for normal ones.",
            ["model"],
            buckets=(0.01, 0.05, *(share / 10 for share in range(1, 11))),
            registry=self._registry,
        )
        gauge = Gauge("bigan_waiting_images", "Images in the queues.", registry=self._registry)
        gauge.set_function(waiting)

    def text(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
