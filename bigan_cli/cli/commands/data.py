"""``bigan data``: looks at a folder of images before training."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import JsonOption

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal

app = typer.Typer(name="data")


@app.callback()
def data() -> None:
    """Check a folder of images before training."""


@app.command()
def check(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of normal images.", metavar="DIR")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write images.csv and strangest.png there.", metavar="DIR"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List unreadable files, copies, odd sizes and the strangest images of a folder."""
    from bigan_cli.cli.callbacks import plain_callbacks
    from bigan_cli.cli.views.data_check import show_check
    from bigan_cli.workflows.data_check import check_folder

    terminal: Terminal = ctx.obj
    found = check_folder(folder, output, plain_callbacks(terminal))
    if as_json:
        terminal.json(found.as_dict())
        return
    show_check(terminal, found)
    if output is not None:
        table = shlex.quote(str(output / "images.csv"))
        terminal.note(
            f"look at {shlex.quote(str(output / 'strangest.png'))}, put an x into the column "
            f"exclude of {table}, then: bigan train --dataset folder --data-root "
            f"{shlex.quote(str(folder))} --exclude {table}"
        )
