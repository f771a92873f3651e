"""``bigan compare``: compares evaluated runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import JsonOption, PluginOption, setting_option
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def compare(
    ctx: typer.Context,
    runs: Annotated[list[Path], typer.Argument(help="Two or more run directories.", metavar="RUN")],
    seed: Annotated[
        int, typer.Option(help="Seed of the bootstrap confidence intervals.", min=0)
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the comparison to this HTML file, too.", metavar="FILE"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --output where it exists.")
    ] = False,
    data_root: Annotated[Path | None, setting_option("data.root", default="as in training")] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs on the same test images: each with the first, by a paired bootstrap.

    The runs must have been evaluated ('bigan evaluate') on the same images. A difference is clear
    if its 95 % interval does not contain 0. The HTML file shows the same with the AUROC of each
    class, the scores of both runs, and pictures of the images that they label differently.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views.comparison import show_comparison
    from bigan_cli.workflows.compare import compare as compare_runs

    with progress_callbacks(terminal) as callbacks:
        result = compare_runs(
            runs,
            seed=seed,
            output=output,
            data_root=data_root,
            plugins=plugin or (),
            overwrite=overwrite,
            callbacks=callbacks,
        )
    show_comparison(terminal, result, as_json=as_json)
    if output is not None:
        terminal.note(f"comparison: {output}")
