"""``bigan compare``: compares evaluated runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import JsonOption
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def compare(
    ctx: typer.Context,
    runs: Annotated[list[Path], typer.Argument(help="Two or more run directories.", metavar="RUN")],
    seed: Annotated[
        int, typer.Option(help="Seed of the bootstrap confidence intervals.", min=0)
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare runs on the same test images: each with the first, by a paired bootstrap.

    The runs must have been evaluated ('bigan evaluate') on the same images. A difference is clear
    if its 95 % interval does not contain 0.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.views.comparison import show_comparison
    from bigan_cli.workflows.compare import compare as compare_runs

    show_comparison(terminal, compare_runs(runs, seed=seed), as_json=as_json)
