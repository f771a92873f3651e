"""A training step recorded once as a CUDA graph and replayed.

A step launches some hundreds of small kernels. Launching one takes longer than computing it; a
replay launches all of them at once. The kernels and the random numbers are the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bigan_cli.errors import TrainingError, first_line, is_out_of_memory
from bigan_cli.model.networks import to_model_range
from bigan_cli.model.step import AdversarialStep

# Warm-up steps before recording: libraries choose their kernels, optimisers allocate their state,
# and the compiler runs.
WARMUP_STEPS = 3


class RecordedStep:
    """An adversarial step on batches of one size, replayed from a CUDA graph.

    The first steps are ordinary ones, on a separate stream as recording requires. Networks that
    synchronise with the device cannot be recorded and continue with ordinary steps.

    Args:
        step: The step to record; its networks are on a CUDA device.
    """

    def __init__(self, step: AdversarialStep) -> None:
        self._step = step
        self._stream = torch.cuda.Stream(step.device)
        self._warmup_steps = 0
        self._waits = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._adds_noise = False
        self._noise = torch.zeros((), device=step.device)
        self._average_weight = torch.zeros((), device=step.device)
        self._pixels: Tensor
        self._losses: Tensor

    def __call__(self, pixels: Tensor, noise: float) -> Tensor:
        """Train on one batch.

        Args:
            pixels: Normal images, uint8 ``[N, C, H, W]`` on the device, N always the same.
            noise: Standard deviation of the noise added to every image D sees.

        Returns:
            One value for each of ``LOSSES``, as from the step itself.

        Raises:
            TrainingError: The networks cannot be recorded.
        """
        if self._waits or self._warmup_steps < WARMUP_STEPS:
            return self._ordinary(pixels, noise)
        if self._graph is None or self._adds_noise != (noise > 0):
            self._record(pixels, adds_noise=noise > 0)
        self._pixels.copy_(pixels)
        self._noise.fill_(noise)
        self._average_weight.fill_(self._step.average.next_weight())
        self._graph.replay()  # type: ignore[union-attr]
        return self._losses.clone()

    def _ordinary(self, pixels: Tensor, noise: float) -> Tensor:
        self._warmup_steps += 1
        current = torch.cuda.current_stream(self._step.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), _watched() as waits:
            losses = self._step(to_model_range(pixels), noise)
        current.wait_stream(self._stream)
        losses.record_stream(current)
        if self._warmup_steps == WARMUP_STEPS:
            self._waits = bool(waits)
        return losses

    def _record(self, pixels: Tensor, *, adds_noise: bool) -> None:
        """Record the step; recording computes nothing and changes no weights."""
        self._graph = None  # frees its memory first
        self._adds_noise = adds_noise
        self._pixels = pixels.clone()
        graph = torch.cuda.CUDAGraph()
        noise = self._noise if adds_noise else 0.0
        try:
            with torch.cuda.device(self._step.device), self._capturing(graph):
                x = to_model_range(self._pixels)
                self._losses = self._step.run(x, noise, self._average_weight)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            first = first_line(error)
            raise TrainingError(
                f"the training step cannot be recorded as a CUDA graph: {first}",
                "train with 'train.compile=off'",
            ) from error
        self._graph = graph

    def _capturing(self, graph: torch.cuda.CUDAGraph) -> torch.cuda.graph:
        # Other threads continue, such as the one that gathers batches.
        return torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Yield a list that receives PyTorch's warnings about synchronisation."""
    said: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield said
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        if "synchronizing CUDA operation" in str(warning.message):
            said.append(str(warning.message))
        elif "debug mode is a prototype" not in str(warning.message):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
