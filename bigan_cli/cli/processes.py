"""A command on several processes: one of them shows what there is to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from bigan_cli.errors import INTERRUPTED, BiganError
from bigan_cli.process_rank import rank_and_size

if TYPE_CHECKING:
    from bigan_cli.model.process_group import ProcessGroup


def is_first_process() -> bool:
    """Return whether this is process 0, or the only one: notes and results are its own to show."""
    return rank_and_size()[0] == 0


@contextmanager
def processes() -> Iterator[ProcessGroup]:
    """Yield the processes that train together; of their errors only the first one is shown.

    Raises:
        typer.Exit: This process failed because, or after, another one did.
    """
    from bigan_cli.model.process_group import open_process_group

    with open_process_group() as group:
        try:
            yield group
        except (BiganError, KeyboardInterrupt, OSError, RuntimeError) as error:
            if isinstance(error, typer.Exit) or group.fails_first():
                raise
            raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_code if isinstance(error, BiganError) else 1
