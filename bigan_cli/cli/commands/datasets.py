"""``bigan datasets``: lists the datasets."""

from __future__ import annotations

from dataclasses import astuple
from typing import Annotated

import typer

from bigan_cli.cli.options import JsonOption, PluginOption


def datasets(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Show the options and classes of this one.", metavar="NAME")
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the datasets, or show the options and classes of one."""
    from bigan_cli.cli.views.plugin_classes import Listing, show_classes
    from bigan_cli.plugins.registry import DATASET

    listing = Listing(
        DATASET,
        "datasets",
        options_table=lambda _: "data.options",
        columns={
            "image": lambda cls: cls.image_shape or "as found",
            "classes": lambda cls: "as found" if cls.class_names is None else len(cls.class_names),
        },
        facts={
            "image_shape": lambda cls: cls.image_shape and astuple(cls.image_shape),
            "classes": lambda cls: cls.class_names,
            "needs_root": lambda cls: cls.needs_root,
            "preset": lambda cls: cls.preset,
        },
    )
    only = show_classes(ctx.obj, listing, plugin or [], name, as_json=as_json)
    if only is not None and only.class_names is not None:
        ctx.obj.table(("class", "name"), enumerate(only.class_names))
