"""``bigan score``: scores images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from bigan_cli.cli.score_parts import score_by_engine, score_one_shard
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
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views import score as view

    alike: dict[str, Any] = {
        "run": run,
        "checkpoint": checkpoint,
        "device": device,
        "plugins": plugin or (),
        "batch_size": batch_size,
        "fpr": fpr,
        "threshold": threshold,
        "review_fpr": review_fpr,
        "max_megapixels": max_megapixels,
        "recursive": recursive,
        "strict": strict,
    }
    files: dict[str, Any] = {"maps": maps, "map_format": map_format, "masks": masks}
    of_all_rows: dict[str, object] = {
        "--resume": resume,
        "--sort": sort,
        "--top": top,
        "--fdr": fdr,
    }
    of_all_rows |= {"--report": report, "--json": as_json}
    inputs = read_inputs(paths, null=null)
    if engine is not None:
        flags = {f"--{name.replace('_', '-')}": value for name, value in files.items()}
        _refuse("with --engine", {"--shard": shard, **flags, **of_all_rows})
        score_by_engine(
            terminal,
            inputs,
            engine=engine,
            output=_needed(output, "--engine"),
            address=address,
            workers=workers,
            part_size=part_size,
            fail_on_anomaly=fail_on_anomaly,
            alike=alike,
        )
        return
    _refuse("without --engine", {"--address": address, "--workers": workers})
    if shard is not None:
        _refuse("with --shard: 'bigan merge' comes first", of_all_rows)
        score_one_shard(
            terminal,
            inputs,
            shard=shard,
            output=_needed(output, "--shard"),
            part_size=part_size,
            fail_on_anomaly=fail_on_anomaly,
            alike={**alike, **files},
        )
        return
    _refuse("without --shard and --engine", {"--part-size": part_size})
    from bigan_cli.workflows.score import score_files

    printer = view.RowPrinter(terminal, output, as_json=as_json)
    with view.partial_output_note(terminal, output), progress_callbacks(terminal) as callbacks:
        result = score_files(
            inputs,
            fdr=fdr,
            output=output,
            resume=resume,
            sort=sort,
            top=top,
            report=report,
            on_rows=printer,
            callbacks=callbacks,
            **alike,
            **files,
        )
    if output is not None and not as_json:
        terminal.result(str(result.output))
    view.show_summary(terminal, result, printer.most_anomalous)
    view.check_result(result, fail_on_anomaly=fail_on_anomaly)


def _needed(output: str | None, flag: str) -> str:
    if output is None:
        raise UsageError(f"{flag} needs an --output", "its parts are written beside it")
    return output


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """Raise an error if one of *options* was given."""
    for flag, value in options.items():
        if value not in (None, False):
            raise UsageError(f"{flag} is of no use {why}")
