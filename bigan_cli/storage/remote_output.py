"""Outputs behind a URL: written on this machine first, and uploaded whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from bigan_cli.errors import DataError
from bigan_cli.locations.location import Location, RemoteFile, write_location


@contextmanager
def written_here(output: Location) -> Iterator[Path]:
    """Yield the file to write for *output*; if it is behind a URL, it is uploaded at the end.

    Raises:
        DataError: It cannot be uploaded; the message says where it is.
    """
    if isinstance(output, Path):
        yield output
        return
    folder = Path(mkdtemp(prefix="bigan-"))
    file = folder / output.name
    try:
        yield file
        if file.exists():
            _upload(file, output)
    except _UploadError:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


class _UploadError(DataError):
    """The only copy of the output is on this machine."""


def _upload(file: Path, output: RemoteFile) -> None:
    try:
        with file.open("rb") as contents:
            write_location(output, contents)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _UploadError(f"cannot write {output}: {reason}", f"the rows are in {file}") from error
