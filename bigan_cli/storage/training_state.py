"""The training state: all that is needed to continue training exactly, with a checksum."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigan_cli.atomic import atomic_write
from bigan_cli.errors import RunDirectoryError
from bigan_cli.regular_files import read_regular_file

# Follows the data, where PyTorch's reader does not see it.
_LABEL = b"sha256:"
_MARK_LENGTH = len(_LABEL) + 64


def write_training_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write *state*, tensors and plain values, to *path*."""
    import torch

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getbuffer()
    with atomic_write(path) as stream:
        stream.write(data)
        stream.write(_checksum(data))


def read_training_state(path: Path) -> dict[str, Any]:
    """Return what :func:`write_training_state` wrote to *path*, on the CPU; runs no code from it.

    Raises:
        RunDirectoryError: The file is missing, cannot be read, or is damaged.
    """
    import torch

    restart = "start again with 'overwrite=True'"
    try:
        stored = memoryview(read_regular_file(path))
    except FileNotFoundError as error:
        raise RunDirectoryError(f"nothing to resume: {path} is missing", restart) from error
    except OSError as error:
        raise RunDirectoryError(
            f"cannot read {path}: {error.strerror}",
            "make it a file that you may read, then resume again",
        ) from error
    data, mark = stored[:-_MARK_LENGTH], stored[-_MARK_LENGTH:]
    if mark != _checksum(data):
        raise RunDirectoryError(
            f"{path} is damaged: its checksum does not match its contents", restart
        )
    try:
        _check_archive(data)
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch reports what it cannot load in many ways.
        raise RunDirectoryError(
            f"{path} cannot be loaded ({type(error).__name__})", restart
        ) from error
    return state


def _check_archive(data: memoryview) -> None:
    """Refuse an archive with compressed entries, which could be far larger than the file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed")


def _checksum(data: memoryview) -> bytes:
    return _LABEL + hashlib.sha256(data).hexdigest().encode()
