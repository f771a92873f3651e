"""Options that several commands have in common; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigan_cli.cli import completion

RunOption = Annotated[Path, typer.Option(help="The run directory.", metavar="DIR")]
CheckpointOption = Annotated[
    str,
    typer.Option(
        help="best, last, a saved epoch (0 is the untrained network), or a model file.",
        metavar="WHICH",
        autocompletion=completion.words(*completion.CHECKPOINTS),
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:N or mps.",
        envvar="BIGAN_DEVICE",
        metavar="DEVICE",
        autocompletion=completion.words(*completion.DEVICES),
    ),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A local plugin file to load; repeatable.", metavar="FILE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
