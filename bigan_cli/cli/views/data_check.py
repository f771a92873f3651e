"""How ``bigan data check`` shows what it found."""

from __future__ import annotations

from bigan_cli.cli.terminal import Terminal
from bigan_cli.formatting import count
from bigan_cli.workflows.data_check import DataCheck

_STRANGEST = 10


def show_check(terminal: Terminal, check: DataCheck) -> None:
    """Show the images with an issue and the strangest ones."""
    strangest = [image for image in check.images if image.strangeness is not None][:_STRANGEST]
    shown = dict.fromkeys([*check.issues, *strangest])
    terminal.table(
        ("image", "issue", "like", "strangeness"),
        [
            (
                image.path,
                image.issue,
                image.like,
                "" if image.strangeness is None else f"{image.strangeness:.2f}",
            )
            for image in shown
        ],
    )
    terminal.note(
        f"{count(len(check.images), 'image')}, {len(check.issues)} with an issue; strangeness 1 is "
        "an ordinary image"
    )
