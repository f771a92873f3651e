"""``bigan train``: learn what normal images look like."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bigan_cli.cli import completion

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.config.load import LoadedConfig

# Every option that stands for a configuration key defaults to None here: a default of its own
# would hide the value of a run file. The true defaults stand in the configuration schema.

_data = partial(typer.Option, rich_help_panel="Data")
_networks = partial(typer.Option, rich_help_panel="Networks")
_training = partial(typer.Option, rich_help_panel="Training")
_results = partial(typer.Option, rich_help_panel="Results")


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
        _data(
            help="Data set; 'bigan datasets' lists them, --dataset NAME --help shows its "
            "options. [digits]",
            metavar="NAME",
            autocompletion=completion.datasets,
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        _data(help="Folder with the data. [this machine's data cache]", metavar="DIR"),
    ] = None,
    download: Annotated[
        bool | None, _data("--download/--no-download", help="May data be downloaded.")
    ] = None,
    inlier: Annotated[
        list[str] | None,
        _data(
            help="Normal class, index or name; repeatable. All others are anomalies.",
            metavar="CLASS",
        ),
    ] = None,
    outlier: Annotated[
        list[str] | None,
        _data(
            help="Anomalous class, index or name; repeatable. All others are normal.",
            metavar="CLASS",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        _data(
            help="auto, one-class, leave-one-out or folder. [auto]",
            metavar="NAME",
            autocompletion=completion.values_of("data", "protocol"),
        ),
    ] = None,
    outlier_portion: Annotated[
        str | None,
        _data(help="Share of anomalies in the test set, or 'all' of them. [all]", metavar="SHARE"),
    ] = None,
    image_size: Annotated[
        str | None,
        _data(help="Side, or HxW, in pixels. [the data set's own]", metavar="SIZE"),
    ] = None,
    input_channels: Annotated[
        int | None, _data(help="1 grey, 3 RGB, 4 RGBA. [the data set's own]")
    ] = None,
    architecture: Annotated[
        str | None,
        _networks(
            help="'bigan architectures' lists them. [dcgan]",
            metavar="NAME",
            autocompletion=completion.architectures,
        ),
    ] = None,
    latent_dim: Annotated[int | None, _networks(help="Length of the latent vector. [32]")] = None,
    feature_maps_gen: Annotated[
        int | None, _networks(help="Base feature maps of generator and encoder. [32]")
    ] = None,
    feature_maps_disc: Annotated[
        int | None, _networks(help="Base feature maps of the discriminator. [32]")
    ] = None,
    dropout_rate: Annotated[
        float | None, _networks(help="Dropout in the discriminator. [0]", metavar="RATE")
    ] = None,
    tanh: Annotated[
        bool | None, _networks("--tanh/--sigmoid", help="The generator's output. [tanh]")
    ] = None,
    spectral_norm: Annotated[
        bool | None,
        _networks(
            "--spectral-norm/--no-spectral-norm", help="In the discriminator. [no-spectral-norm]"
        ),
    ] = None,
    preset: Annotated[
        str | None,
        _training(
            help="auto, fast, balanced or best: how far to go, in about a third, all or three "
            "times the usual time. [auto: balanced]",
            metavar="NAME",
            autocompletion=completion.values_of("train", "preset"),
        ),
    ] = None,
    epochs: Annotated[
        int | None, _training(help="Passes over the training images. [30; digits: 100]")
    ] = None,
    batch_size: Annotated[int | None, _training(help="Images a step. [64]")] = None,
    lr: Annotated[float | None, _training(help="Learning rate. [0.0004]", metavar="RATE")] = None,
    seed: Annotated[int | None, _training(help="Decides every random choice. [0]")] = None,
    members: Annotated[
        int | None,
        _training(
            help="Networks to train, with different seeds; the score is their mean. [1]",
        ),
    ] = None,
    device: Annotated[
        str | None,
        _training(
            help="auto, cpu, cuda, cuda:N or mps. [auto]",
            metavar="DEVICE",
            autocompletion=completion.words(*completion.DEVICES),
        ),
    ] = None,
    precision: Annotated[
        str | None,
        _training(
            help="auto, fp32 or bf16. [auto]",
            metavar="NAME",
            autocompletion=completion.values_of("train", "precision"),
        ),
    ] = None,
    compile_: Annotated[
        str | None,
        _training(
            "--compile",
            help="auto, on (torch.compile, half a minute first) or off. [auto]",
            metavar="WHEN",
            autocompletion=completion.values_of("train", "compile"),
        ),
    ] = None,
    fpr: Annotated[
        float | None,
        _results(help="False-positive rate of the threshold. [0.05]", metavar="SHARE"),
    ] = None,
    save_dir: Annotated[
        Path | None, _results(help="The run directory. [results]", metavar="DIR")
    ] = None,
    save_interval: Annotated[
        int | None,
        _results(help="Epochs between two saves of pictures and models. [10]"),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="A local plugin file to load; repeatable.", metavar="FILE"),
    ] = None,
    profile: Annotated[
        bool,
        _results("--profile", help="Tell where a step's time goes, and write a trace."),
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
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a BiGAN on normal images and calibrate its score."""
    from bigan_cli.cli.listing import warn_of_broken
    from bigan_cli.errors import UsageError
    from bigan_cli.workflows import run_config

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
    loaded: LoadedConfig = run_config.load(config, set_ or [], flags, resume=resume)
    warn_of_broken(terminal, loaded.registry)

    # Only now, so that a wrong configuration is told before PyTorch has been imported.
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
