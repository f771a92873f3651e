"""Seeds of epochs, and saving and restoring the states of torch's random generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch, from the seed of the run."""
    # Distributes (seed, epoch) over the generator's 64 bits; any odd multiplier does.
    return (seed * 1_000_003 + epoch * 7_919 + 1) % 2**63


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the global generators of the CPU and of *device*, by kind."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore the result of :func:`random_states`, as far as *device* is of the same kind."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


@contextmanager
def preserved_random_states() -> Iterator[None]:
    """Restore the global generators of the CPU, and of CUDA if in use, at the end."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(devices)):
        yield
