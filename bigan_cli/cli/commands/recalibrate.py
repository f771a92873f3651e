"""``bigan recalibrate``: calibrates a model on other normal images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    NewModelOption,
    NormalsOption,
    PluginOption,
    setting_option,
)
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def recalibrate(
    ctx: typer.Context,
    normals: NormalsOption,
    output: NewModelOption,
    run: ModelOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    fpr: Annotated[float | None, setting_option("score.fpr", default="the model's own")] = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the scales and thresholds of a model for other normal images, without training.

    For another camera or other light: the networks and what the components keep of the normal
    images of training stay as they are. A third of the images sets the scales of the components,
    the others the threshold. They must not be images that the model was trained on.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views.adapted_model import show_adapted_model
    from bigan_cli.workflows.adapt import adapt_model

    with progress_callbacks(terminal) as callbacks:
        result = adapt_model(
            "recalibrated",
            normals,
            output=output,
            run=run,
            checkpoint=checkpoint,
            fpr=fpr,
            device=device,
            plugins=plugin or (),
            callbacks=callbacks,
        )
    show_adapted_model(terminal, result, as_json=as_json)
