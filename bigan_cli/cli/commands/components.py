"""``bigan components``: which parts a score can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import JsonOption, PluginOption

if TYPE_CHECKING:
    from bigan_cli.contracts import ScoreComponent
    from bigan_cli.plugins import Provided


def components(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show the options of this one.", metavar="NAME")
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the score components with their weights, or show the options of one."""
    from bigan_cli.cli.listing import describe, list_kind, show_options
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.plugins.registry import COMPONENT
    from bigan_cli.scoring.defaults import DEFAULT_WEIGHTS

    terminal: Terminal = ctx.obj
    chosen = list_kind(terminal, COMPONENT, plugin or [], name)

    def as_dict(provided: Provided[ScoreComponent]) -> dict[str, object]:
        usual = DEFAULT_WEIGHTS.get(provided.cls.name)
        return {**describe(provided), "default_weight": usual, "weight": provided.cls.weight}

    if as_json:
        terminal.json({"components": [as_dict(provided) for provided in chosen]})
    elif name is None:
        terminal.table(
            ("name", "weight by default", "where named", "summary", "from"),
            (
                (
                    p.cls.name,
                    f"{DEFAULT_WEIGHTS[p.cls.name]:g}" if p.cls.name in DEFAULT_WEIGHTS else "-",
                    f"{p.cls.weight:g}",
                    p.cls.summary,
                    p.source,
                )
                for p in chosen
            ),
        )
    else:
        only = chosen[0].cls
        show_options(terminal, f"score.options.{only.name}", chosen[0])
        terminal.note(
            f"Where score.components names it, its weight is {only.weight:g}, "
            f"or --set score.weights.{only.name}=WEIGHT"
        )
