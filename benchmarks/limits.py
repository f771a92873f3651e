"""Command lines wrapped: with their decodes counted, or with only so much memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

_COUNTING = """
import sys
from PIL import ImageFile
from bigan_cli.cli.main import main

decodes = 0
prepare = ImageFile.ImageFile.load_prepare

def counted(self):  # Pillow calls it once for each image whose pixels it decodes
    global decodes
    decodes += 1
    prepare(self)

ImageFile.ImageFile.load_prepare = counted
try:
    code = main(sys.argv[2:])
finally:
    with open(sys.argv[1], "w") as stream:
        stream.write(str(decodes))
sys.exit(code)
"""
_LIMITED = """
import os, resource, sys
size = int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (size, size))
os.execv(sys.argv[2], sys.argv[2:])
"""
_GROUPED = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as stream:
    stream.write(str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
_GROUPS = Path("/sys/fs/cgroup")
# There in the second version of control groups, which has one tree for all resources.
_UNIFIED = _GROUPS / "cgroup.controllers"


def counting(words: Sequence[object], counts: Path) -> list[object]:
    """Return bigan with *words*; the number of images that it decodes goes to *counts*."""
    return [sys.executable, "-c", _COUNTING, counts, *words]


def limited_process(command: Sequence[object], mebibytes: int) -> list[object] | str:
    """Return *command* with its data segment and anonymous mappings limited, or why not."""
    if not sys.platform.startswith("linux"):
        return "only Linux counts anonymous mappings there"
    return [sys.executable, "-c", _LIMITED, mebibytes, *command]


def limited_group(command: Sequence[object], mebibytes: int) -> list[object] | str:
    """Return *command* in a control group of its own with so much memory, or why not.

    The kernel counts all memory of the group against its limit, and takes pages of files back
    before it refuses anything.
    """
    group = _group()
    if group is None:
        return "this system has no control groups for memory"
    try:
        group.mkdir()
        limit = "memory.max" if _UNIFIED.exists() else "memory.limit_in_bytes"
        (group / limit).write_text(str(mebibytes * 2**20), encoding="ascii")
    except OSError as error:
        remove_group()
        return f"no control group with a limit can be made here ({error.strerror})"
    return [sys.executable, "-c", _GROUPED, group, *command]


def remove_group() -> None:
    """Remove the control group, whose processes have ended."""
    group = _group()
    if group is not None and group.is_dir():
        group.rmdir()


def _group() -> Path | None:
    name = f"bigan-benchmark-{os.getpid()}"
    if _UNIFIED.exists():
        return _GROUPS / name
    return _GROUPS / "memory" / name if (_GROUPS / "memory" / "cgroup.procs").exists() else None
