"""The memory limits of this process, and the share for decoded images."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOST = 2 * 2**30
# The rest is for a copy sorted into splits, the networks and everything else.
_SHARE = 0.2
# Control groups of this process and their limits on Linux.
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """Return the largest size in bytes of decoded images to keep in memory.

    Larger sets are memory-mapped from disk, so the system can reclaim their pages.
    """
    return min(MOST, int(_SHARE * memory_bytes()))


def memory_bytes() -> int:
    """Return the memory available to this process: the smallest limit of the system."""
    limits = [_physical_bytes(), _process_limit(), *map(_group_limit, _group_files())]
    return min(limit for limit in limits if limit)


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 8 * 2**30


def _process_limit() -> int:
    """Return the limit set with ``ulimit -d``, or 0 if there is none."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_DATA)
    return 0 if soft == resource.RLIM_INFINITY else soft


def _group_files() -> list[Path]:
    """Return the files with the memory limits of this process's control groups and all above.

    Groups of version 2 have one tree for everything, those of version 1 one for memory.
    """
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # not Linux
        return []
    files = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            root, name = _GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the group may be named as the host sees it: only the root is there then.
        own = Path(group.lstrip("/"))
        files += [root / folder / name for folder in (own, *own.parents)]
    return files


def _group_limit(file: Path) -> int:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0  # "max" is no limit
