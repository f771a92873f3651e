"""How much memory this process may use, and how much of it decoded images may take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOST = 2 * 2**30
# Decoded images come together with a copy sorted into splits, the networks and everything else.
_SHARE = 0.2
# Where Linux says what a container may use: control groups of version 2 and 1.
_LIMIT_FILES = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def resident_bytes() -> int:
    """Return up to how many bytes of decoded images are held in memory.

    Larger sets of files are mapped from the disk, whose pages the system takes back when it
    needs the memory.
    """
    return min(MOST, int(_SHARE * memory_bytes()))


def memory_bytes() -> int:
    """Return how much memory this process may use, the least of what the system says."""
    limits = [_physical_bytes(), _process_limit(), *map(_group_limit, _LIMIT_FILES)]
    return min(limit for limit in limits if limit)


def _physical_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 8 * 2**30


def _process_limit() -> int:
    """Return the limit set with ``ulimit -d``, or 0 where there is none."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_DATA)
    return 0 if soft == resource.RLIM_INFINITY else soft


def _group_limit(file: Path) -> int:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0  # "max" is no limit
