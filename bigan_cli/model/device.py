"""Device, precision and determinism."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from bigan_cli.contracts import ImageShape
from bigan_cli.errors import DeviceError

# Number of pixels of an image from which several threads and bf16 save time on a CPU; below,
# their overhead is larger.
_WORTH_SHARING = 16 * 16


def available_devices() -> list[str]:
    """Return the names of the devices of this machine, the preferred one first."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def resolve_device(name: str) -> torch.device:
    """Return the available device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Of several processes on a machine (``LOCAL_RANK``, which torchrun sets), each gets a CUDA GPU
    of its own for ``auto`` and ``cuda``.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device. A named
            device is never replaced by another.
    """
    wanted = name.strip().lower()
    there = available_devices()
    local_rank = os.environ.get("LOCAL_RANK", "")
    number = int(local_rank) if local_rank.isdecimal() else 0
    if wanted == "auto":
        if not there[0].startswith("cuda"):
            return torch.device(there[0])
        wanted = "cuda"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", wanted):
        raise DeviceError(f"unknown device '{name}'", "use auto, cpu, cuda, cuda:N or mps")
    if wanted == "cuda":
        wanted = f"cuda:{number}"
    if wanted in there:
        return torch.device(wanted)
    if wanted == "mps":
        raise DeviceError(
            f"device 'mps' requested, but this machine has no Metal GPU (available: "
            f"{', '.join(there)})",
            "use 'train.device=auto'",
        )
    cuda = [f"{d} ({torch.cuda.get_device_name(d)})" for d in there if d.startswith("cuda")]
    if not cuda:
        raise DeviceError(
            f"device '{name}' requested, but PyTorch sees no CUDA GPU (available: "
            f"{', '.join(there)})",
            "use 'train.device=auto'",
        )
    plural = "device" if len(cuda) == 1 else "devices"
    raise DeviceError(f"{wanted} does not exist; {len(cuda)} CUDA {plural}: {', '.join(cuda)}")


@contextmanager
def repeatable_arithmetic(
    device: torch.device, image_shape: ImageShape, threads: int | None = None
) -> Iterator[None]:
    """Set the number of CPU threads and deterministic cuDNN kernels, for repeatable results.

    The number of threads decides the order of summation, and so the last bits of a result. The
    default is PyTorch's, or 1 for the smallest images, where a second thread only costs time. A
    number set with ``OMP_NUM_THREADS`` is kept. Both settings are restored at the end.

    Args:
        device: Where the networks run.
        image_shape: Shape of the images.
        threads: Number of threads; None for the default.
    """
    threads_before = torch.get_num_threads()
    deterministic_before = torch.backends.cudnn.deterministic
    if "OMP_NUM_THREADS" not in os.environ:
        if threads is not None:
            torch.set_num_threads(threads)
        elif not _is_worth_sharing(image_shape):
            torch.set_num_threads(1)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.backends.cudnn.deterministic = deterministic_before


def resolve_precision(precision: str, device: torch.device, image_shape: ImageShape) -> str:
    """Return the precision for ``auto``: ``bf16`` if this device computes it faster, else ``fp32``.

    For the smallest images, conversion to bf16 costs more than it saves on a CPU.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        with torch.cuda.device(device):  # the query is for the current device
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        fast = _cpu_multiplies_bf16() and _is_worth_sharing(image_shape)
    else:
        fast = False
    return "bf16" if fast else "fp32"


def _cpu_multiplies_bf16() -> bool:
    """Return whether this CPU has bf16 instructions; otherwise bf16 is emulated."""
    # These have no public name in PyTorch, and not every version has them.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def _is_worth_sharing(image_shape: ImageShape) -> bool:
    return image_shape.height * image_shape.width >= _WORTH_SHARING


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the networks compute in *precision* (``fp32`` or ``bf16``)."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
