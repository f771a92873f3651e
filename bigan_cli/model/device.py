"""Which device the networks run on, and in which arithmetic."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext

import torch

from bigan_cli.contracts import ImageShape
from bigan_cli.errors import DeviceError

# Pixels of an image from which more than one thread pays.
_WORTH_SHARING = 16 * 16


def available_devices() -> list[str]:
    """Return the names of the devices of this machine, the preferred one first."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device that is there.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device. A device asked
            for by name is never replaced by another.
    """
    wanted = name.strip().lower()
    there = available_devices()
    if wanted == "auto":
        return torch.device(there[0])
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", wanted):
        raise DeviceError(f"unknown device '{name}'", "use auto, cpu, cuda, cuda:N or mps")
    if wanted == "cuda":
        wanted = "cuda:0"
    if wanted in there:
        return torch.device(wanted)
    if wanted == "mps":
        raise DeviceError(
            f"device 'mps' requested, but this machine has no Metal GPU (available: "
            f"{', '.join(there)})",
            "use --device auto",
        )
    cuda = [f"{d} ({torch.cuda.get_device_name(d)})" for d in there if d.startswith("cuda")]
    if not cuda:
        raise DeviceError(
            f"device '{name}' requested, but PyTorch sees no CUDA GPU (available: "
            f"{', '.join(there)})",
            "use --device auto",
        )
    plural = "device" if len(cuda) == 1 else "devices"
    raise DeviceError(f"{wanted} does not exist; {len(cuda)} CUDA {plural}: {', '.join(cuda)}")


def share_work(image_shape: ImageShape) -> None:
    """Choose how many CPU threads share one operation, from the size of the images alone.

    On the smallest images an operation is over before a second thread has woken up. A number
    that the user has set with OMP_NUM_THREADS stays. The choice never looks at a clock: the
    number of threads decides the order of sums, and so the last bits of a run.
    """
    if (
        image_shape.height * image_shape.width < _WORTH_SHARING
        and "OMP_NUM_THREADS" not in os.environ
    ):
        torch.set_num_threads(1)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Turn ``auto`` into ``bf16`` where this device computes it fast, else ``fp32``."""
    if precision != "auto":
        return precision
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the networks compute in *precision* (``fp32`` or ``bf16``)."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
