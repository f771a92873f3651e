"""``bigan components``: lists the score components."""

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
    from bigan_cli.scoring.defaults import DEFAULT_COMPONENTS

    terminal: Terminal = ctx.obj
    chosen = list_kind(terminal, COMPONENT, plugin or [], name)

    def as_dict(provided: Provided[ScoreComponent]) -> dict[str, object]:
        default = provided.cls.name in DEFAULT_COMPONENTS
        return {**describe(provided), "default": default, "weight": provided.cls.weight}

    if as_json:
        terminal.json({"components": [as_dict(provided) for provided in chosen]})
    elif name is None:
        terminal.table(
            ("name", "default", "weight", "summary", "from"),
            (
                (
                    p.cls.name,
                    "yes" if p.cls.name in DEFAULT_COMPONENTS else "no",
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
            f"Its weight is {only.weight:g}; 'score.weights.{only.name}=WEIGHT' changes it."
        )
