"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from bigan_cli.errors import RunDirectoryError

# What network file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def atomic_write(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside *path*; on success it replaces *path*, else it is removed.

    Args:
        path: The file to write; its folder is made where it is missing.
        mode: ``"wb"`` for bytes, ``"w"`` for UTF-8 text, line ends as given.
    """
    text = "b" not in mode
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        # The user knows the file that was asked for, not the temporary one.
        raise OSError(error.errno, error.strerror, str(path)) from error
    temporary = Path(name)
    try:
        with os.fdopen(
            handle, mode, encoding="utf-8" if text else None, newline="" if text else None
        ) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            # A disk that is full, for one, is told of without saying of which file.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def expanded(path: Path | str) -> Path:
    """Return *path* with ``~`` as the home folder; that of a user who does not exist stays."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  pathlib's own raises for a stranger


def write_text(path: Path, text: str) -> None:
    """Write *text* to *path*, whole or not at all."""
    with atomic_write(path, "w") as stream:
        stream.write(text)


@contextmanager
def file_lock(file: Path, busy: Exception) -> Iterator[None]:
    """Hold the lock that *file* stands for, which is made where it is missing.

    The system gives the lock back when this process ends, however it ends. A file system that
    has no locks goes without one.

    Args:
        file: In a folder that exists.
        busy: Raised where another process has the lock.

    Raises:
        OSError: It cannot be locked.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise busy from error
    except NotImplementedError:
        pass  # filelock's word for a file system without locks
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for this lock from writing into *folder* meanwhile.

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
            stack.enter_context(file_lock(folder / ".lock", busy))
        except OSError as error:
            raise RunDirectoryError(f"cannot lock {folder}: {error.strerror}") from error
        yield


def _umask() -> int:
    # There is no way to read the umask without setting it.
    current = os.umask(0)
    os.umask(current)
    return current
