"""``bigan components``: lists the score components."""

from __future__ import annotations

from typing import Annotated

import typer

from bigan_cli.cli.options import JsonOption, PluginOption


def components(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show the options of this one.", metavar="NAME")
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the score components with their weights, or show the options of one."""
    from bigan_cli.cli.views.plugin_classes import Listing, show_classes
    from bigan_cli.plugins.registry import COMPONENT
    from bigan_cli.scoring.default_components import DEFAULT_COMPONENTS

    listing = Listing(
        COMPONENT,
        "components",
        options_table=lambda cls: f"score.options.{cls.name}",
        columns={
            "default": lambda cls: "yes" if cls.name in DEFAULT_COMPONENTS else "no",
            "weight": lambda cls: f"{cls.weight:g}",
        },
        facts={
            "default": lambda cls: cls.name in DEFAULT_COMPONENTS,
            "weight": lambda cls: cls.weight,
        },
    )
    only = show_classes(ctx.obj, listing, plugin or [], name, as_json=as_json)
    if only is not None:
        ctx.obj.note(
            f"Its weight is {only.weight:g}; 'score.weights.{only.name}=WEIGHT' changes it."
        )
