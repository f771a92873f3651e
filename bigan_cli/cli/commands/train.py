"""``bigan train``: trains a BiGAN on normal images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bigan_cli.cli.options import ConfigOption, JsonOption, SetOption, with_settings
from bigan_cli.cli.terminal import LOADING
from bigan_cli.errors import INTERRUPTED, UsageError

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.config.load import LoadedConfig


# The options of settings, such as --epochs, come from the fields of config/schema.py.
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
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test/--no-self-test",
            help="Test a run on photographs with synthetic defects at its end.",
            rich_help_panel="Results",
        ),
    ] = True,
    json_: JsonOption = False,
) -> None:
    """Train a BiGAN on normal images and calibrate its score.

    Defaults depend on the dataset and the architecture: photographs in a folder are trained on
    features ('--architecture features --help'), with epochs, batches and sizes of their own.
    'bigan config show' prints those of a run.

    On several processes: torchrun --nproc-per-node N -m bigan_cli train ...; they train the
    --members side by side, or divide each batch.
    """
    from bigan_cli.cli.processes import is_first_process, processes
    from bigan_cli.cli.views.plugin_classes import warn_of_broken
    from bigan_cli.workflows import run_config

    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if profile and dry_run:
        raise UsageError("--profile measures a training, and --dry-run has none")
    terminal: Terminal = ctx.obj
    loaded = run_config.load(config, set_ or [], settings, resume=resume)
    if is_first_process():
        warn_of_broken(terminal, loaded.registry)
        terminal.announce(LOADING)
    # Only now: a wrong configuration is reported before PyTorch is imported.
    from bigan_cli.cli.live_training import assist_quietly, train_live
    from bigan_cli.cli.views.training import show_interrupted, show_result

    if dry_run:
        if is_first_process():
            _show_plan(terminal, loaded, as_json=json_)
        return
    with processes() as group:
        if group.rank > 0:
            assist_quietly(loaded, group, resume=resume)
            return
        result = train_live(
            terminal,
            loaded,
            group,
            resume=resume,
            overwrite=overwrite,
            profile=profile,
            self_test=self_test,
        )
        if result.status == "interrupted":
            show_interrupted(terminal, result)
            raise typer.Exit(INTERRUPTED)
        show_result(terminal, result, selection=loaded.config.train.selection, as_json=json_)


def _show_plan(terminal: Terminal, loaded: LoadedConfig, *, as_json: bool) -> None:
    """Show what a training would do; nothing is written."""
    from bigan_cli.cli.callbacks import plain_callbacks
    from bigan_cli.cli.views.training import show_plan
    from bigan_cli.workflows.train import plan

    planned = plan(loaded, plain_callbacks(terminal))
    if as_json:
        terminal.json(planned.as_dict())
    else:
        show_plan(terminal, planned)
