"""Facts about this machine and this installation: hardware, packages, devices, plugins."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from bigan_cli import __version__
from bigan_cli.formatting import human_size

_PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "imageio",
    "safetensors", "pydantic", "pluggy", "typer", "rich",
)  # fmt: skip
# What may change how the program runs; never the whole environment, which may hold secrets.
_VARIABLES = (
    "BIGAN_DATA_DIR", "BIGAN_DEBUG", "BIGAN_DEVICE", "BIGAN_PLUGINS",
    "CUDA_VISIBLE_DEVICES", "FORCE_COLOR", "GOMP_SPINCOUNT", "MKL_NUM_THREADS", "NO_COLOR",
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY",
    "PYTORCH_ENABLE_MPS_FALLBACK", "TERM", "XDG_CACHE_HOME",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Return everything that a bug report needs, as plain values; imports torch."""
    return {
        "bigan": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "cpu": cpu(),
        "memory": memory(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch": _torch(),
        "data": _data_folder(),
        "plugins": _plugins(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def machine(device: str) -> str:
    """Return this machine in one line, with the graphics card where *device* is one.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    """
    host = f"{cpu()}, {memory()}"
    return host if device == "cpu" else f"{_device(device)}; {host}"


def cpu() -> str:
    """Return the processor, and how many of its cores may be used."""
    name = platform.processor() or platform.machine()
    try:
        for text in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            if text.startswith("model name"):
                name = text.partition(":")[2].strip()
                break
    except OSError:  # not Linux
        pass
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {usable} of {os.cpu_count()} cores usable"


def memory() -> str:
    """Return how much memory the machine has."""
    try:
        return human_size(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows, and systems without the figure
        return "unknown"


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _torch() -> dict[str, Any]:
    """Return the devices that PyTorch sees, or why it cannot be imported."""
    try:
        import torch

        from bigan_cli.model.device import available_devices, resolve_device
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return {"error": " ".join(str(error).split())}
    return {
        "devices": {name: _device(name) for name in available_devices()},
        "auto": str(resolve_device("auto")),
        "cuda": torch.version.cuda or "not built in",
        "threads": torch.get_num_threads(),
    }


def _device(name: str) -> str:
    """Return what the device called *name* is."""
    import torch

    if name.startswith("cuda"):
        properties = torch.cuda.get_device_properties(name)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return "Metal" if name == "mps" else torch.backends.cpu.get_cpu_capability()


def _data_folder() -> dict[str, Any]:
    """Return the default folder of datasets, and what it holds."""
    from bigan_cli.atomic import expanded
    from bigan_cli.locations.cache_folder import cache_root

    chosen = os.environ.get("BIGAN_DATA_DIR")
    root = expanded(chosen) if chosen else cache_root() / "data"
    try:
        names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    except OSError:
        names = []
    return {"folder": str(root), "holds": ", ".join(names) or "nothing"}


def _plugins() -> dict[str, str]:
    """Return package -> its plugins that work, and each broken plugin with the reason."""
    from bigan_cli.plugins import load_registry

    registry = load_registry()
    packages: dict[str, list[str]] = {}
    for plugin in registry.plugins:
        source = f"{plugin.distribution} {plugin.version}".strip()
        packages.setdefault(source, []).append(plugin.name)
    return {source: ", ".join(names) for source, names in packages.items()} | {
        f"{plugin.distribution} {plugin.version} {plugin.name}".strip(): f"broken: {plugin.reason}"
        for plugin in registry.broken
    }
