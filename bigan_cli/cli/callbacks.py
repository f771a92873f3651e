"""The callbacks of a workflow, shown on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bigan_cli.cli.terminal import Terminal
from bigan_cli.workflows.callbacks import Callbacks


def plain_callbacks(terminal: Terminal) -> Callbacks:
    """Return callbacks that print notes, details and warnings, and show no progress."""
    return Callbacks(note=terminal.note, detail=terminal.detail, warn=terminal.warn)


@contextmanager
def progress_callbacks(terminal: Terminal) -> Iterator[Callbacks]:
    """Yield callbacks that also show one progress bar, which follows the current task.

    No bar is drawn where results are printed to the same terminal: rows and a bar would
    overwrite each other.
    """
    plain = plain_callbacks(terminal)
    if not terminal.interactive or terminal.stdout_is_terminal:
        yield plain
        return
    with terminal.progress() as bar:
        task = bar.add_task("", total=None)

        def show(description: str, done: int, total: int | None) -> None:
            bar.update(task, description=description, completed=done, total=total)

        yield replace(plain, on_progress=show)
