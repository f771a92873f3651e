"""``bigan env``: what this installation is, as a block to paste into an issue."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

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


def env(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what an issue report should hold."""
    import platform

    from bigan_cli import __version__
    from bigan_cli.cli.terminal import Terminal

    terminal: Terminal = ctx.obj
    facts: dict[str, Any] = {
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
    if as_json:
        terminal.json(facts)
    else:
        _show(terminal.result, facts)


def _show(line: Callable[[str], None], facts: dict[str, Any], indent: str = "") -> None:
    width = max(map(len, facts), default=0) + 2
    for name, value in facts.items():
        if isinstance(value, dict | list):
            line(f"{indent}{name}:{'' if value else ' none'}")
            inner = value if isinstance(value, dict) else {str(i): v for i, v in enumerate(value)}
            _show(line, inner, indent + "  ")
        else:
            line(f"{indent}{name + ':':{width}}{value}")


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def cpu() -> str:
    """Return the processor, and how many of its cores may be used."""
    import platform

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
    from bigan_cli.formatting import human_size

    try:
        return human_size(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows, and systems that do not tell
        return "unknown"


def _torch() -> dict[str, Any]:
    """Return what PyTorch sees of this machine, or why it cannot be imported."""
    try:
        import torch

        from bigan_cli.model.device import available_devices, resolve_device
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return {"error": " ".join(str(error).split())}
    devices = {}
    for name in available_devices():
        if name.startswith("cuda"):
            properties = torch.cuda.get_device_properties(name)
            gibibytes = properties.total_memory / 2**30
            devices[name] = f"{properties.name}, {gibibytes:.0f} GiB"
        else:
            devices[name] = "Metal" if name == "mps" else torch.backends.cpu.get_cpu_capability()
    return {
        "devices": devices,
        "auto": str(resolve_device("auto")),
        "cuda": torch.version.cuda or "not built in",
        "threads": torch.get_num_threads(),
    }


def _data_folder() -> dict[str, Any]:
    """Return where data sets are looked for by default, and what is there."""
    from bigan_cli.atomic import expanded
    from bigan_cli.data.cache import cache_root

    chosen = os.environ.get("BIGAN_DATA_DIR")
    root = expanded(chosen) if chosen else cache_root() / "data"
    try:
        there = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    except OSError:
        there = []
    return {"folder": str(root), "holds": ", ".join(there) or "nothing"}


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
