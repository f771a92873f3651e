"""``bigan merge``: joins the parts of several shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import JsonOption

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def merge(
    ctx: typer.Context,
    output: Annotated[
        str,
        typer.Argument(
            help="The --output that the shards were called with, or its URL.", metavar="FILE"
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Join the parts of 'bigan score --shard' in one file: that of one 'bigan score'.

    All parts must be there, and of one model and one threshold. They stay in FILE.parts.
    """
    terminal: Terminal = ctx.obj
    from bigan_cli.cli.views import shards
    from bigan_cli.workflows.merge import merge_parts

    result = merge_parts(output)
    shards.show_merge(terminal, result, as_json=as_json)
    shards.check_merge(result)
