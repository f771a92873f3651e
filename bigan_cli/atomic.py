"""Atomic writes of files, and locks between processes."""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bigan_cli.errors import RunDirectoryError

# Error numbers of network file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LOCK = ".lock"  # in a folder that is written into

# A temporary file is named after the machine and the process that write it.
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_TEMPORARY = re.compile(
    r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,9})-[0-9a-f]{8}\.tmp", re.DOTALL
)
_open_files: set[Path] = set()


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file next to *path*; on success it replaces *path*, else it is removed.

    The permissions are those of any new file: they follow the umask.

    Args:
        path: The file to write; missing folders are created.
        mode: ``"wb"`` for bytes, ``"w"`` for UTF-8 text with unchanged line ends.
    """
    text = "b" not in mode
    temporary = path.with_name(
        f".{path.name[:40]}.{_MACHINE}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    )
    _open_files.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open(
            mode.replace("w", "x"),
            encoding="utf-8" if text else None,
            newline="" if text else None,
        ) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        of_this_file = isinstance(error, OSError) and error.filename in (None, str(temporary))
        if isinstance(error, OSError) and error.errno and of_this_file:
            # The user knows the requested file, not the temporary one.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        _open_files.discard(temporary)


def append(path: Path, data: bytes) -> None:
    """Add *data* to the end of *path* in one write, and flush it to disk; never through a link.

    A link in somebody else's folder could lead to any file of this user.

    Raises:
        OSError: It cannot be written, or is a link.
    """
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("ab", buffering=0) as stream:
            stream.write(data)
            os.fsync(stream.fileno())
    except OSError as error:  # of a full disk, for one, without the file's name
        raise OSError(error.errno, error.strerror, str(path)) from error


def refuse_link(path: Path) -> None:
    """Raise OSError if *path* is a symbolic link."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, through which nothing is written", str(path))


def remove_stale_temporaries(folder: Path) -> None:
    """Remove the temporary files in *folder* that killed processes of this machine left there.

    Files of running processes and of other machines stay.
    """
    with suppress(OSError):
        for path in folder.glob(".*.tmp"):
            match = _TEMPORARY.fullmatch(path.name)
            if match and match["machine"] == _MACHINE and not _is_in_use(path, int(match["pid"])):
                with suppress(OSError):
                    path.unlink()


def _is_in_use(temporary: Path, pid: int) -> bool:
    if pid == os.getpid():  # in a container, every process may get the same number
        return temporary in _open_files
    if sys.platform == "win32":
        return False  # Windows does not remove open files
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's process
    return True


def expanded(path: Path | str) -> Path:
    """Return *path* with ``~`` as the home folder; that of a user who does not exist stays."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  pathlib's own raises for an unknown user


def write_text(path: Path, text: str) -> None:
    """Write *text* to *path* atomically."""
    with atomic_write(path, "w") as stream:
        stream.write(text)


@contextmanager
def file_lock(file: Path, busy: Exception) -> Iterator[None]:
    """Hold the lock *file*, which is created if missing.

    The system releases the lock when this process ends, even if it is killed. On a file system
    without locks nothing is locked.

    Args:
        file: In a folder that exists.
        busy: Raised if another process has the lock.

    Raises:
        OSError: It cannot be locked.
    """
    from filelock import FileLock, Timeout

    refuse_link(file)  # locking would empty the file that it leads to
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        if not file.exists():  # filelock waits for a file that it cannot create
            raise OSError(errno.EACCES, "no file can be created here", str(file)) from error
        raise busy from error
    except NotImplementedError:
        pass  # raised by filelock on a file system without locks
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Lock *folder* against other processes that write into it with this lock.

    See :func:`file_lock`.

    Raises:
        RunDirectoryError: Another process has it, or *folder* cannot be made or locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"cannot make {folder}: {error.strerror}") from error
    busy = RunDirectoryError(
        f"another process is writing into {folder}", "wait for it, or name another folder"
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(folder / _LOCK, busy))
        except OSError as error:
            raise RunDirectoryError(f"cannot lock {folder}: {error.strerror}") from error
        yield


def check_unlocked(folder: Path) -> None:
    """Raise what :func:`write_lock` raises if another process has the lock of *folder*.

    Called before minutes of other work; only the lock itself, taken later, excludes the other.
    """
    if (folder / _LOCK).exists():
        with write_lock(folder):
            pass
