"""``bigan train``: learn what normal images look like."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bigan_cli.config.load import Loaded
    from bigan_cli.console import Terminal

# Every option that stands for a configuration key defaults to None here: a default of its own
# would hide the value of a run file. The true defaults stand in the configuration schema.


def train(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Run file (TOML).", metavar="FILE")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any configuration key, as data.options.KEY; repeatable.",
            metavar="TABLE.KEY=VALUE",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set; 'bigan datasets' lists them, --dataset NAME --help shows its "
            "options. [digits]"
        ),
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Folder with the data. [this machine's data cache]")
    ] = None,
    download: Annotated[
        bool | None, typer.Option("--download/--no-download", help="May data be downloaded.")
    ] = None,
    inlier: Annotated[
        list[str] | None,
        typer.Option(help="Normal class, index or name; repeatable. All others are anomalies."),
    ] = None,
    outlier: Annotated[
        list[str] | None,
        typer.Option(help="Anomalous class, index or name; repeatable. All others are normal."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="auto, one-class, leave-one-out or folder. [auto]")
    ] = None,
    outlier_portion: Annotated[
        str | None,
        typer.Option(help="Share of anomalies in the test set, or 'all' of them. [all]"),
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(help="Side, or HxW, in pixels. [the data set's own]")
    ] = None,
    input_channels: Annotated[
        int | None, typer.Option(help="1 grey, 3 RGB, 4 RGBA. [the data set's own]")
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help="'bigan architectures' lists them. [dcgan]")
    ] = None,
    latent_dim: Annotated[int | None, typer.Option(help="Length of the latent vector.")] = None,
    feature_maps_gen: Annotated[
        int | None, typer.Option(help="Base feature maps of generator and encoder.")
    ] = None,
    feature_maps_disc: Annotated[
        int | None, typer.Option(help="Base feature maps of the discriminator.")
    ] = None,
    dropout_rate: Annotated[
        float | None, typer.Option(help="Dropout in the discriminator.")
    ] = None,
    tanh: Annotated[
        bool | None, typer.Option("--tanh/--sigmoid", help="The generator's output. [tanh]")
    ] = None,
    spectral_norm: Annotated[
        bool | None,
        typer.Option(
            "--spectral-norm/--no-spectral-norm", help="In the discriminator. [no-spectral-norm]"
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="auto, fast, balanced or best: how far to go, in about a third, all or six "
            "times the usual time. [auto: balanced]"
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice. [0]")] = None,
    members: Annotated[
        int | None,
        typer.Option(help="Networks to train, with different seeds; the score is their mean. [1]"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps. [auto]")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16. [auto]")] = None,
    compile_: Annotated[
        str | None,
        typer.Option("--compile", help="auto, on or off: torch.compile, a minute first. [auto]"),
    ] = None,
    fpr: Annotated[
        float | None, typer.Option(help="False-positive rate of the threshold. [0.05]")
    ] = None,
    save_dir: Annotated[Path | None, typer.Option(help="The run directory. [results]")] = None,
    save_interval: Annotated[
        int | None, typer.Option(help="Epochs between two saves of pictures and models.")
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A local plugin file to load; repeatable.")
    ] = None,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Tell where a step's time goes, and write a trace."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --save-dir exactly.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --save-dir.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve, build and try one step; write nothing.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a BiGAN on normal images and calibrate its score."""
    from bigan_cli.commands import _train
    from bigan_cli.commands._listing import warn_of_broken
    from bigan_cli.errors import UsageError

    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    flags: dict[str, Any] = {
        "data.dataset": dataset,
        "data.root": data_root,
        "data.download": download,
        "data.inlier": inlier,
        "data.outlier": outlier,
        "data.protocol": protocol,
        "data.outlier_portion": outlier_portion,
        "data.image_size": image_size,
        "data.input_channels": input_channels,
        "model.architecture": architecture,
        "model.latent_dim": latent_dim,
        "model.options.feature_maps_gen": feature_maps_gen,
        "model.options.feature_maps_disc": feature_maps_disc,
        "model.options.dropout_rate": dropout_rate,
        "model.options.output": None if tanh is None else ("tanh" if tanh else "sigmoid"),
        "model.options.spectral_norm": spectral_norm,
        "train.preset": preset,
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.lr": lr,
        "train.seed": seed,
        "train.members": members,
        "train.device": device,
        "train.precision": precision,
        "train.compile": compile_,
        "score.fpr": fpr,
        "output.save_dir": save_dir,
        "output.save_interval": save_interval,
        "plugins": plugin,
    }
    if profile and dry_run:
        raise UsageError("--profile watches a training, and --dry-run has none")
    terminal: Terminal = ctx.obj
    loaded: Loaded = _train.load(config, set_ or [], flags, resume=resume)
    warn_of_broken(terminal, loaded.registry)
    if dry_run:
        _train.dry_run(terminal, loaded, as_json=json_)
    else:
        _train.run(
            terminal,
            loaded,
            resume=resume,
            overwrite=overwrite,
            profile=profile,
            as_json=json_,
        )
