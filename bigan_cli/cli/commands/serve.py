"""``bigan serve``: scores images sent by HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    PluginOption,
    ReviewFprOption,
    setting_option,
)
from bigan_cli.cli.terminal import LOADING
from bigan_cli.errors import UsageError

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def serve(
    ctx: typer.Context,
    run: Annotated[
        Path | None,
        typer.Option(help="Run directory, or a model file. [default: results]", metavar="DIR"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model with a name, which requests choose with ?model=NAME. Repeatable.",
            metavar="NAME=DIR",
        ),
    ] = None,
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    fpr: Annotated[float | None, setting_option("score.fpr", default="each model's own")] = None,
    review_fpr: ReviewFprOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    max_megapixels: Annotated[
        int, typer.Option(min=1, help="Refuse images of more million pixels.")
    ] = 64,
    max_body: Annotated[
        int, typer.Option(min=1, help="Refuse requests of more million bytes.", metavar="MB")
    ] = 32,
    queue: Annotated[
        int, typer.Option(min=1, help="Images in progress; more are answered with status 429.")
    ] = 256,
) -> None:
    """Score images sent by HTTP: POST /score, with a page at / to try it.

    POST /score takes an image as the body, or several as the files of a form, and answers with
    JSON; with ?map=png it answers with the image and its heatmap. GET /healthz says whether the
    service works, GET /metrics has figures for Prometheus. The service ends at SIGTERM, after the
    requests in progress.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.cli.callbacks import plain_callbacks
    from bigan_cli.cli.signals import stop_on_signals
    from bigan_cli.workflows.serving.serve import serve as serve_models

    with stop_on_signals() as stop:
        serve_models(
            _named(run, model or []),
            host=host,
            port=port,
            checkpoint=checkpoint,
            device=device,
            plugins=plugin or (),
            fpr=fpr,
            review_fpr=review_fpr,
            max_megapixels=max_megapixels,
            max_body_megabytes=max_body,
            queue_size=queue,
            callbacks=replace(plain_callbacks(terminal), should_stop=stop.is_set),
        )


def _named(run: Path | None, models: list[str]) -> dict[str, Path]:
    """Return the models by name: that of --run is called ``default``.

    Raises:
        UsageError: A model has no name, or two have the same.
    """
    named = {} if run is None and models else {"default": run or Path("results")}
    for each in models:
        name, equals, folder = each.partition("=")
        if not name or not equals or not folder:
            raise UsageError(f"--model {each} is not NAME=DIR")
        if name in named:
            raise UsageError(f"two models are called {name}")
        named[name] = Path(folder)
    return named
