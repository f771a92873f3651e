"""Reports trainings of bigan to MLflow."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bigan_cli.contracts import EpochRecord, Options, TrackedResult, TrackedRun, Tracker
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from mlflow import MlflowClient

_STATUS = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
# What a server takes in one request, and of one value.
_MOST_PARAMS, _LONGEST_PARAM = 100, 500


class MlflowOptions(Options):
    """The table ``[output.tracker_options.mlflow]`` of a config file."""

    tracking_uri: str = Field(
        "",
        description="Tracking server, or a local database such as sqlite:///mlflow.db. By default "
        "MLFLOW_TRACKING_URI, or else MLflow's own default.",
    )
    experiment: str = Field("bigan", description="Name of the experiment; made if it is missing.")
    run_name: str = Field("", description="Name of the run. By default that of its directory.")
    log_model: bool = Field(True, description="Whether the best model is uploaded at the end.")


class MlflowTracker(Tracker):
    """Logs parameters, metrics, pictures and the model of a training as one MLflow run."""

    name = "mlflow"
    summary = "parameters, metrics, pictures and the model for MLflow"
    Options = MlflowOptions

    _client: MlflowClient
    _run: str

    def on_start(self, run: TrackedRun) -> Mapping[str, str]:
        """Make a run, or open that of the training that is resumed."""
        from mlflow import MlflowClient

        # No run is made active, so that a program that uses MLflow itself is not disturbed.
        self._client = MlflowClient(self.options.tracking_uri or None)
        if run.state:
            self._run = run.state["run_id"]
            self._client.update_run(self._run, status="RUNNING")
            return run.state
        found = self._client.get_experiment_by_name(self.options.experiment)
        experiment = (
            self._client.create_experiment(self.options.experiment)
            if found is None
            else found.experiment_id
        )
        name = self.options.run_name or run.path.resolve().name
        made = self._client.create_run(experiment, run_name=name, tags=_tags(run))
        self._run = str(made.info.run_id)
        self._log_params(run.config)
        return {"run_id": self._run}

    def _log_params(self, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [
            Param(key, str(value)[:_LONGEST_PARAM])
            for key, value in _flat(config)
            if not key.startswith("output.tracker_options.")
        ]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._run, params=params[start : start + _MOST_PARAMS])

    def on_epoch(self, record: EpochRecord, member: int) -> None:
        """Log the figures of an epoch."""
        prefix = "" if member == 1 else f"member_{member}/"
        figures = {
            "validation": record.validation,
            **record.losses,
            **{f"diagnostics/{name}": value for name, value in record.extra.items()},
            "images_per_second": record.images_per_second,
        }
        self._log_metrics({f"{prefix}{name}": v for name, v in figures.items()}, record.epoch)

    def on_pictures(self, epoch: int, pictures: Mapping[str, Path]) -> None:  # noqa: ARG002
        """Upload the pictures of an epoch."""
        for name, path in pictures.items():
            # The curves are the same picture, continued; files of the others have their epoch.
            place = None if name == "losses" else f"reconstruction/{name}"
            self._client.log_artifact(self._run, str(path), place)

    def on_end(self, result: TrackedResult) -> None:
        """Log the result, upload its files and end the run."""
        self._log_metrics(result.metrics, int(result.metrics.get("best_epoch", 0)))
        for path in result.files:
            if path.suffix != ".safetensors" or self.options.log_model:
                self._client.log_artifact(self._run, str(path))
        self._client.set_terminated(self._run, _STATUS[result.status])

    def _log_metrics(self, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, step)
            for name, value in figures.items()
            if math.isfinite(value)
        ]
        self._client.log_batch(self._run, metrics=metrics)


@hookimpl
def bigan_trackers() -> list[type[Tracker]]:
    """Provide the tracker."""
    return [MlflowTracker]


def _tags(run: TrackedRun) -> dict[str, str]:
    data = run.info.get("data", {})
    facts = {
        "directory": run.path.resolve(),
        "device": run.info.get("device"),
        "dataset": data.get("dataset"),
        "version": run.info.get("versions", {}).get("bigan"),
    }
    return {f"bigan.{key}": str(value) for key, value in facts.items() if value}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value
