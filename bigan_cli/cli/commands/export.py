"""``bigan export``: writes a trained model as one file that runs without bigan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli import completion
from bigan_cli.cli.options import (
    CheckpointOption,
    JsonOption,
    PluginOption,
    RunOption,
    setting_option,
)
from bigan_cli.cli.terminal import LOADING

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def export(
    ctx: typer.Context,
    run: RunOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Output file (overwritten); .onnx or .pt2. [default: model.onnx in the run]",
            metavar="FILE",
        ),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx, or torch for a file of torch.export. [default: as --output ends]",
            metavar="FORMAT",
            autocompletion=completion.words("onnx", "torch"),
        ),
    ] = None,
    runner: Annotated[
        bool,
        typer.Option(
            "--runner",
            help="Write run_onnx.py and run_onnx.cpp, which score images with the file, next to it "
            "(overwritten).",
        ),
    ] = False,
    fpr: Annotated[float | None, setting_option("score.fpr", default="the run's own")] = None,
    data_root: Annotated[Path | None, setting_option("data.root", default="as in training")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Normal images to compare on, in place of the run's. Repeatable.", metavar="PATH"
        ),
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trained model as one file that runs without bigan: ONNX, or torch.export.

    The file takes uint8 images [N, H, W, C] of the model's size and returns score, p_value, label,
    components and heatmap. Networks, components, memories and calibration are inside. It is
    compared with the model on the run's calibration images first; where a score differs by more
    than 1e-4 or a label differs, nothing is written. ONNX needs: pip install 'bigan-cli[export]'.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views.export import show_export
    from bigan_cli.workflows.export import export_model

    with progress_callbacks(terminal) as callbacks:
        result = export_model(
            run=run,
            checkpoint=checkpoint,
            plugins=plugin or (),
            output=output,
            file_format=file_format,
            fpr=fpr,
            data_root=data_root,
            images=images,
            runner=runner,
            callbacks=callbacks,
        )
    show_export(terminal, result, as_json=as_json)
