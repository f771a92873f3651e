"""One cell of a benchmark: trained, evaluated, and made a row of the results."""

from __future__ import annotations

import json
import shlex
import statistics
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from bigan_cli.errors import BiganError
from bigan_cli.storage.benchmark_directory import BenchmarkDirectory
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.benchmark.grid import Cell, Request
from bigan_cli.workflows.benchmark.processes import ChildError, Children
from bigan_cli.workflows.benchmark.provenance import Machine, commit

DONE, FAILED = "done", "failed"

# A file that is damaged or no longer there fails its own cell and no other.
_OF_A_CELL = (ChildError, BiganError, OSError, ValueError, KeyError)


class CellRunner:
    """Makes rows of cells; used from several threads.

    Args:
        folder: Of the benchmark.
        request: What was asked for.
        children: Runs the programs.
    """

    def __init__(
        self,
        folder: BenchmarkDirectory,
        request: Request,
        children: Children,
    ) -> None:
        self.folder = folder
        self.request = request
        self.children = children
        self.machine = Machine(children, folder.log("env"))
        self.commit = commit()
        self._baselines: dict[tuple[str, int], dict[str, Any]] = {}
        self._locks: dict[tuple[str, int], threading.Lock] = {}
        self._lock = threading.Lock()

    def row(self, cell: Cell, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the finished row of *cell*, or one that says why it failed.

        Args:
            cell: What to run.
            before: Its row of an earlier call, or None.

        Raises:
            Stopped: The benchmark is being stopped; what was trained is kept.
        """
        if before is not None and before["status"] == DONE:
            row = {**before, "error": None}
        else:
            row = self._trained_row(cell)
        if row["status"] == DONE and self.request.baselines:
            try:
                row["baselines"] = self._baselines_of(cell)
            except _OF_A_CELL as error:
                row["error"] = f"no baselines: {_told(error)}"  # what was trained still counts
        return row

    def _trained_row(self, cell: Cell) -> dict[str, Any]:
        said = {
            "threads": self.children.threads,
            "commit": self.commit,
            "command": self.command(cell),
        }
        try:
            peak = self._train(cell)
            figures = self._figures(cell, self._evaluate(cell))
        except _OF_A_CELL as error:
            return {**identity(cell), "status": FAILED, "error": _told(error), **said}
        return {
            **identity(cell),
            "status": DONE,
            "error": None,
            **figures,
            "peak_memory_bytes": peak,
            **said,
            "baselines": None,
        }

    def _train(self, cell: Cell) -> int | None:
        """Train, or go on training; return the peak memory, or None where all was trained.

        A run that diverged is started again; one that was stopped, or killed, goes on.
        """
        run = self.folder.run(cell.name)
        if status_of(run) == DONE:
            return None
        words = train_words(cell, self.request)
        resumed = can_resume(run)
        if resumed:
            words = ["train", "--resume", *_place(self.request), "--device", cell.device]
        elif run.path.exists():
            words.append("--overwrite")
        words += ["--save-dir", str(run.path), "--json"]
        try:
            return self.children.run(words, self.folder.log(cell.name)).peak_bytes
        except ChildError as error:
            if not resumed:
                raise
            raise ChildError(f"{error}; to start it anew, delete {run.path}") from error

    def _evaluate(self, cell: Cell) -> dict[str, Any]:
        words = ["evaluate", "--run", str(self.folder.run(cell.name).path), "--json"]
        words += ["--device", cell.device, *_place(self.request)]
        found: dict[str, Any] = json.loads(
            self.children.run(words, self.folder.log(cell.name)).output
        )
        return found

    def _baselines_of(self, cell: Cell) -> dict[str, Any]:
        """Return the figures of the baselines on the run's own splits, computed once for each."""
        run = self.folder.run(cell.name)
        key = (str(run.info()["data"]["fingerprint"]), cell.seed)
        with self._lock:
            mine = self._locks.setdefault(key, threading.Lock())
        with mine:
            if key not in self._baselines:
                words = ["benchmark", "--baselines-of", str(run.path), "--json"]
                words += _place(self.request)
                told = self.children.run(words, self.folder.log(cell.name)).output
                self._baselines[key] = json.loads(told)["baselines"]
        return self._baselines[key]

    def _figures(self, cell: Cell, evaluation: Mapping[str, Any]) -> dict[str, Any]:
        run = self.folder.run(cell.name)
        info, data = run.info(), run.info()["data"]
        speeds = [record["images_per_second"] for record in run.metrics()]
        trained, untrained = evaluation["trained"], evaluation["untrained"] or {}
        return {
            "protocol": data["protocol"],
            "normal_classes": data["normal_classes"],
            "anomalous_classes": [c["name"] for c in evaluation["classes"] if c["outlier"]],
            "device": info["device"],
            "machine": self.machine.words(info["device"]),
            "precision": info["precision"],
            "epochs": info["epochs"],
            "best_epoch": info["best_epoch"],
            "evaluated_epoch": evaluation["epoch"],
            "auroc": _value(trained["auroc"]),
            "auroc_interval": _bounds(trained["auroc"]),
            "average_precision": _value(trained["average_precision"]),
            "average_precision_interval": _bounds(trained["average_precision"]),
            "prevalence": evaluation["prevalence"],
            "untrained_auroc": _value(untrained.get("auroc")),
            "untrained_average_precision": _value(untrained.get("average_precision")),
            "components": trained["components"],
            "untrained_components": untrained.get("components", {}),
            "training_seconds": info["seconds"],
            "images_per_second": round(statistics.median(speeds), 1) if speeds else None,
            "images": data["images"],
            "parameters": info["parameters"],
            "data_fingerprint": data["fingerprint"],
            "test_fingerprint": data["test_fingerprint"],
            "versions": info["versions"],
        }

    def command(self, cell: Cell) -> str:
        """Return the command lines that repeat *cell*, without places of this machine."""
        train = ["bigan", *train_words(cell, self.request, elsewhere=True)]
        evaluate = ["bigan", "evaluate", "--run", cell.name]
        return f"{shlex.join([*train, '--save-dir', cell.name])} && {shlex.join(evaluate)}"


def identity(cell: Cell) -> dict[str, Any]:
    """Return what a row says of its cell whether it failed or not."""
    return {
        "cell": cell.name,
        "dataset": cell.dataset,
        "option": cell.option,
        "classes": list(cell.classes),
        "seed": cell.seed,
        "preset": cell.preset,
        "variant": cell.variant,
    }


def train_words(cell: Cell, request: Request, *, elsewhere: bool = False) -> list[str]:
    """Return the command line that trains *cell*, up to where the run is to lie.

    Args:
        cell: What to train.
        request: What all cells have in common.
        elsewhere: Whether it is for another machine, where the data lie in another folder.
    """
    words = ["train", "--dataset", cell.dataset]
    for name in cell.classes:
        words += [f"--{cell.option}", name]
    words += ["--seed", str(cell.seed)]
    if cell.preset is not None:
        words += ["--preset", cell.preset]
    for text in cell.sets:
        words += ["--set", text]
    words += ["--device", cell.device]
    if request.config is not None:
        words += ["--config", request.config.name if elsewhere else str(request.config)]
    for plugin in request.plugins:
        words += ["--plugin", plugin.name if elsewhere else str(plugin)]
    return words if elsewhere else words + _place(request)


def _place(request: Request) -> list[str]:
    return [] if request.data_root is None else ["--data-root", str(request.data_root)]


def status_of(run: RunDirectory) -> str:
    """Return the status of a run, or an empty string where there is none."""
    try:
        return str(run.info().get("status", ""))
    except BiganError:
        return ""


def can_resume(run: RunDirectory) -> bool:
    """Return whether *run* was stopped, or killed, where it can go on."""
    stopped = status_of(run) in ("running", "interrupted")
    return stopped and run.config_file.is_file() and run.training_state(0).is_file()


def state_of(before: Mapping[str, Any] | None, run: RunDirectory, *, baselines: bool) -> str:
    """Return in a word or two what is to be done about a cell.

    Args:
        before: Its row of an earlier call, or None.
        run: Its run directory.
        baselines: Whether they are asked for.
    """
    if before is not None and before["status"] == DONE:
        return "baselines to add" if baselines and not before.get("baselines") else "finished"
    if before is not None:
        return "to be tried again"
    if can_resume(run):
        return "to be resumed"
    return "to be evaluated" if status_of(run) == DONE else "new"


def _told(error: Exception) -> str:
    if isinstance(error, BiganError):
        return error.message
    return str(error) if isinstance(error, ChildError) else f"{type(error).__name__}: {error}"


def _value(estimate: Mapping[str, float] | None) -> float | None:
    return None if estimate is None else estimate["value"]


def _bounds(estimate: Mapping[str, float] | None) -> Sequence[float] | None:
    return None if estimate is None else [estimate["low"], estimate["high"]]
