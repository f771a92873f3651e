"""``bigan score`` in parts: one shard of the inputs, or all of them on an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bigan_cli.cli.terminal import Terminal
    from bigan_cli.data.sources.find import Input


def score_one_shard(
    terminal: Terminal,
    inputs: Iterable[Input],
    *,
    shard: str,
    output: str,
    part_size: int | None,
    fail_on_anomaly: bool,
    alike: Mapping[str, Any],
) -> None:
    """Score a shard and show the result; *alike* are the options of any scoring."""
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views import shards
    from bigan_cli.workflows.score_shard import PART_SIZE, score_shard

    with progress_callbacks(terminal) as callbacks:
        result = score_shard(
            inputs,
            shard=shard,
            output=output,
            part_size=part_size or PART_SIZE,
            callbacks=callbacks,
            **alike,
        )
    shards.show_shard(terminal, result)
    shards.check_shard(result, fail_on_anomaly=fail_on_anomaly)


def score_by_engine(  # noqa: PLR0913  the options of the command
    terminal: Terminal,
    inputs: Iterable[Input],
    *,
    engine: str,
    output: str,
    address: str | None,
    workers: int | None,
    part_size: int | None,
    fail_on_anomaly: bool,
    alike: Mapping[str, Any],
) -> None:
    """Score on an engine and show the result; *alike* are the options of any scoring."""
    from bigan_cli.cli.callbacks import progress_callbacks
    from bigan_cli.cli.views import shards
    from bigan_cli.workflows.score_engine import score_on_engine
    from bigan_cli.workflows.score_shard import PART_SIZE

    with progress_callbacks(terminal) as callbacks:
        result = score_on_engine(
            inputs,
            engine=engine,
            output=output,
            address=address,
            workers=workers,
            part_size=part_size or PART_SIZE,
            callbacks=callbacks,
            **alike,
        )
    shards.show_merge(terminal, result, as_json=False)
    shards.check_merge(result, fail_on_anomaly=fail_on_anomaly)
