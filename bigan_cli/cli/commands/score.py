"""``bigan score``: scores images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigan_cli.cli.inputs import NullOption, read_inputs
from bigan_cli.cli.options import (
    CheckpointOption,
    DeviceOption,
    FailOnAnomalyOption,
    JsonLinesOption,
    MapFormatOption,
    MapsOption,
    MasksOption,
    MaxMegapixelsOption,
    ModelOption,
    PluginOption,
    RecursiveOption,
    ReportFileOption,
    ReviewFprOption,
    ThresholdOption,
    setting_option,
)
from bigan_cli.cli.score_destinations import (
    Heatmaps,
    Scoring,
    Table,
    score_by_engine,
    score_one_shard,
    score_to_table,
)
from bigan_cli.cli.terminal import LOADING
from bigan_cli.errors import UsageError

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal


def score(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, lists (.txt, .csv, .parquet), archives (.tar, .zip), URLs of "
            "these (s3://...), or - for a list on standard input.",
            metavar="PATH",
        ),
    ],
    run: ModelOption = Path("results"),
    checkpoint: CheckpointOption = "best",
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images per forward pass. [default: the model's; on a GPU 16 times that]"
        ),
    ] = None,
    fpr: Annotated[float | None, setting_option("score.fpr", default="the run's own")] = None,
    threshold: ThresholdOption = None,
    review_fpr: ReviewFprOption = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            help="Share of normal images among those labelled anomalous, instead of --fpr "
            "(Benjamini-Hochberg); keeps all rows in memory.",
            metavar="SHARE",
        ),
    ] = None,
    max_megapixels: MaxMegapixelsOption = None,
    recursive: RecursiveOption = True,
    null: NullOption = False,
    output: Annotated[
        str | None,
        typer.Option(
            help="Output file or its URL (overwritten); .csv, .jsonl or .parquet.", metavar="FILE"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an --output that was stopped.")
    ] = False,
    sort: Annotated[
        bool, typer.Option("--sort", help="Most anomalous first; keeps all rows in memory.")
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Only the N most anomalous images, most anomalous first."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Score one of N shares of the inputs, in parts that 'bigan merge' joins: 2/8 is "
            "the second of eight; auto or auto/8 asks the scheduler.",
            metavar="I/N",
        ),
    ] = None,
    part_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --shard or --engine, inputs in a part; an archive is a part of its own. "
            "[default: 10,000]",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="Score on an engine of a plugin, such as ray.", metavar="NAME"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Where the engine's cluster is. [default: this machine]"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of the engine. [default: the engine's own]"),
    ] = None,
    maps: MapsOption = None,
    map_format: MapFormatOption = None,
    masks: MasksOption = None,
    report: ReportFileOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first unreadable file, with exit code 1.")
    ] = False,
    fail_on_anomaly: FailOnAnomalyOption = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Score images: one row each with score, p-value, label and components.

    Rows go to standard output, as CSV unless it is a terminal, in the order of the inputs. A
    file that cannot be read gets a row with the reason, and the exit code is 4. Until all are
    done, the rows of --output are in FILE.partial. Regions are the parts of an image where
    its heatmap exceeds a threshold that at most a share --fpr of normal images exceed.
    """
    terminal: Terminal = ctx.obj
    terminal.announce(LOADING)
    from bigan_cli.workflows.scorer import ScorerSettings

    settings = ScorerSettings(
        device,
        plugin or (),
        batch_size,
        fpr,
        threshold,
        review_fpr,
        max_megapixels,
        strict=strict,
    )
    inputs = read_inputs(paths, null=null)
    scoring = Scoring(inputs, recursive, run, checkpoint, settings, output, fail_on_anomaly)
    heatmaps = Heatmaps(maps, map_format, masks)
    table = Table(resume, sort, top, fdr, report, as_json)
    if engine is not None:
        _refuse("with --engine", {"--shard": shard, **heatmaps.flags(), **table.flags()})
        score_by_engine(terminal, scoring, engine, address, workers, part_size)
        return
    _refuse("without --engine", {"--address": address, "--workers": workers})
    if shard is not None:
        _refuse("with --shard: 'bigan merge' comes first", table.flags())
        score_one_shard(terminal, scoring, heatmaps, shard, part_size)
        return
    _refuse("without --shard and --engine", {"--part-size": part_size})
    score_to_table(terminal, scoring, heatmaps, table)


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """Raise an error if one of *options* was given."""
    for flag, value in options.items():
        if value not in (None, False):
            raise UsageError(f"{flag} is of no use {why}")
