"""Classical detectors on the images of one run, divided as the run divided them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from bigan_cli.cli.callbacks import progress_callbacks
from bigan_cli.cli.terminal import Terminal
from bigan_cli.data.prepare import open_dataset, prepare
from bigan_cli.errors import DataError
from bigan_cli.evaluation.baselines import BASELINES, run_baselines
from bigan_cli.plugins import load_registry
from bigan_cli.storage.run_directory import RunDirectory


def show_baselines(terminal: Terminal, path: Path, root: Path | None, *, as_json: bool) -> None:
    """Compute the baselines on the fit and test images of the run in *path*, and print them.

    Args:
        terminal: Where to print.
        path: The run directory.
        root: Where the data lie now, or None for where they were.
        as_json: Whether standard output gets JSON.

    Raises:
        RunDirectoryError: There is no run there.
        DataError: Its images are missing, or are no longer those it was trained on.
    """
    run = RunDirectory.open(path)
    config = run.config()
    if root is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"root": root})})
    registry = load_registry([Path(plugin) for plugin in config.plugins])
    with progress_callbacks(terminal) as callbacks:
        data = prepare(
            open_dataset(registry, config.data),
            config,
            progress=partial(callbacks.on_progress, "reading images"),
        )
    if data.fingerprint != run.info().get("data", {}).get("fingerprint"):
        raise DataError(
            f"the images of {data.dataset_name} are not those that {path} was trained on",
            "figures from other images cannot be compared; train again",
        )
    figures = run_baselines(data.fit.pixels, data.test.pixels, data.test.outlier, config.train.seed)
    if as_json:
        terminal.json({"run": str(path), "baselines": figures})
        return
    terminal.table(
        ("baseline", "AUROC", "average precision", "fitted to", "what it is"),
        [_cells(name, found) for name, found in figures.items()],
    )


def _cells(name: str, found: dict[str, Any]) -> tuple[object, ...]:
    area, precision = found["auroc"], found["average_precision"]
    return (
        BASELINES[name].title,
        None if area is None else f"{area:.4f}",
        None if precision is None else f"{precision:.4f}",
        found["fitted_to"],
        found["summary"],
    )
