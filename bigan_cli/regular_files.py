"""Reading whole files, where a folder, a named pipe or something huge may be instead."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def read_regular_file(path: Path, limit: int | None = None) -> bytes:
    """Return the contents of the regular file *path*; never waits for another process.

    Args:
        path: Links are followed.
        limit: Size in bytes above which the file is not read.

    Raises:
        OSError: It is missing, unreadable, too large or not a regular file; ``strerror`` says
            which.
    """
    if os.name == "nt" and path.is_dir():  # which Windows cannot open
        raise _not_regular(path, "a folder")
    # Without O_NONBLOCK, opening a named pipe waits for its writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = next((name for test, name in _KINDS if test(found.st_mode)), "a device")
            raise _not_regular(path, kind)
        if limit is not None and found.st_size > limit:
            raise OSError(0, f"it is larger than {limit / 1e6:.0f} MB", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read()
    except MemoryError:
        raise OSError(0, "it is larger than the memory", str(path)) from None
    finally:
        os.close(descriptor)


def read_file_or_pipe(path: Path) -> bytes:
    """Return the contents of *path*, which may be a pipe that another process writes to.

    Raises:
        OSError: It is missing, unreadable or another kind of file; or a named pipe that no
            process writes to, for which reading would wait.
    """
    if os.name == "nt" or not stat.S_ISFIFO(path.stat().st_mode):
        return read_regular_file(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        try:
            first = os.read(descriptor, 2**16)
        except BlockingIOError:  # somebody will write
            first = b""
        else:
            if not first:
                raise OSError(0, "it is a named pipe that nothing writes to", str(path))
        os.set_blocking(descriptor, True)
        return first + stream.read()


def _not_regular(path: Path, kind: str) -> OSError:
    return OSError(0, f"it is {kind}, not a file", str(path))
