"""``bigan datasets``: which datasets there are."""

from __future__ import annotations

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
    from bigan_cli.cli.listing import describe, list_kind, show_options
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.contracts import Dataset
    from bigan_cli.plugins import Provided
    from bigan_cli.plugins.registry import DATASET

    terminal: Terminal = ctx.obj
    chosen = list_kind(terminal, DATASET, plugin or [], name)

    def as_dict(provided: Provided[Dataset]) -> dict[str, object]:
        cls = provided.cls
        shape = cls.image_shape
        return {
            **describe(provided),
            "image_shape": shape and [shape.channels, shape.height, shape.width],
            "classes": cls.class_names,
            "needs_root": cls.needs_root,
            "preset": cls.preset,
        }

    if as_json:
        terminal.json({"datasets": [as_dict(provided) for provided in chosen]})
    elif name is None:
        terminal.table(
            ("name", "image", "classes", "summary", "from"),
            (
                (
                    p.cls.name,
                    p.cls.image_shape or "as found",
                    "as found" if p.cls.class_names is None else len(p.cls.class_names),
                    p.cls.summary,
                    p.source,
                )
                for p in chosen
            ),
        )
    else:
        classes = chosen[0].cls.class_names
        show_options(terminal, "data.options", chosen[0])
        if classes is not None:
            terminal.table(("class", "name"), enumerate(classes))
