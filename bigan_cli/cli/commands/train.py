"""``bigan train``: trains a BiGAN on normal images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bigan_cli.cli.options import ConfigOption, JsonOption, SetOption, with_settings

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.config.load import LoadedConfig


@with_settings
def train(
    ctx: typer.Context,
    settings: Mapping[str, Any],
    config: ConfigOption = None,
    set_: SetOption = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Profile training steps and write a Chrome trace.",
            rich_help_panel="Results",
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the run in --save-dir exactly; score.* may change."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --save-dir.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve, build and try one step; write nothing.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Train a BiGAN on normal images and calibrate its score."""
    from bigan_cli.cli.listing import warn_of_broken
    from bigan_cli.errors import UsageError
    from bigan_cli.workflows import run_config

    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if profile and dry_run:
        raise UsageError("--profile watches a training, and --dry-run has none")
    terminal: Terminal = ctx.obj
    loaded: LoadedConfig = run_config.load(config, set_ or [], settings, resume=resume)
    warn_of_broken(terminal, loaded.registry)

    # Only now, so that a wrong configuration is reported before PyTorch is imported.
    from bigan_cli.workflows import train as workflow

    if dry_run:
        workflow.dry_run(terminal, loaded, as_json=json_)
    else:
        workflow.run(
            terminal,
            loaded,
            resume=resume,
            overwrite=overwrite,
            profile=profile,
            as_json=json_,
        )
