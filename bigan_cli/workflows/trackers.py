"""Reports a training to the trackers that its configuration names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import EpochRecord, TrackedResult, TrackedRun, Tracker
from bigan_cli.errors import PluginError
from bigan_cli.plugins import PluginVersion, Registry
from bigan_cli.plugins.checks import describe_value, format_error
from bigan_cli.plugins.faults import describe
from bigan_cli.plugins.instances import make_tracker
from bigan_cli.plugins.registry import TRACKER
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.callbacks import Callbacks

T = TypeVar("T")


class Trackers:
    """The trackers of a training.

    A tracker that raises does not end a training that has begun: it is left out from then on,
    with a warning that names it.

    Args:
        names: The trackers.
        config: Has their options.
        registry: Where they are found.
        callbacks: Receive the warnings.

    Raises:
        PluginError: There is no such tracker, or its options are wrong.
    """

    def __init__(
        self, names: Sequence[str], config: RunConfig, registry: Registry, callbacks: Callbacks
    ) -> None:
        self.versions: tuple[PluginVersion, ...] = registry.versions_of(
            (TRACKER, name) for name in names
        )
        self._config = config
        self._active = [make_tracker(registry, name, config.output) for name in names]
        self._warn = callbacks.warn

    def start(self, run: RunDirectory) -> None:
        """Begin the report of *run*, or continue that of an earlier training of it.

        Raises:
            PluginError: A tracker fails; nothing was trained yet.
        """
        info = run.info()
        states = dict(info.get("trackers", {}))
        for tracker in self._active:
            tracked = TrackedRun(
                path=run.path,
                folder=run.tracker_folder(tracker.name),
                config=self._config.model_dump(mode="json", by_alias=True),
                info=_facts(info),
                epoch=_epochs_trained(info),
                state=states.get(tracker.name, {}),
            )
            try:
                with redirect_stdout(sys.stderr):  # which is for results
                    state = tracker.on_start(tracked)
            except Exception as error:
                raise PluginError(
                    f"{describe(tracker)} failed in on_start(): {format_error(error)}",
                    f"correct its options in 'output.tracker_options.{tracker.name}', or train "
                    "without it",
                ) from error
            states[tracker.name] = _checked_state(tracker, state)
            run.claim_tracker_files(tracker.name)
        if self._active:
            run.write_info(trackers=states)

    def epoch(self, record: EpochRecord, member: int) -> None:
        """Report an epoch of ensemble member number *member*, counted from 1."""
        self._each("on_epoch", lambda tracker: tracker.on_epoch(record, member))

    def pictures(self, epoch: int, pictures: Mapping[str, Path]) -> None:
        """Report the pictures of an epoch; those that are missing are left out."""
        present = {name: path for name, path in pictures.items() if path.is_file()}
        self._each("on_pictures", lambda tracker: tracker.on_pictures(epoch, present))

    def end(self, run: RunDirectory) -> None:
        """Report the end of the training, as run.json describes it."""
        if not self._active:
            return
        info = run.info()
        files = (run.config_file, run.metrics_file, run.losses_file, run.best_model)
        result = TrackedResult(
            status="interrupted" if info["status"] == "running" else info["status"],
            metrics=_final_metrics(info),
            files=[file for file in files if file.is_file()],
        )
        self._each("on_end", lambda tracker: tracker.on_end(result))
        for tracker in self._active:
            run.claim_tracker_files(tracker.name)

    def _each(self, method: str, call: Callable[[Tracker], object]) -> None:
        for tracker in list(self._active):
            try:
                with redirect_stdout(sys.stderr):
                    call(tracker)
            except Exception as error:  # noqa: BLE001  third-party code; training continues
                self._active.remove(tracker)
                self._warn(
                    f"{describe(tracker)} failed in {method}(): {format_error(error)}; it is not "
                    "used for the rest of this training, which continues"
                )


def _checked_state(tracker: Tracker, state: Any) -> dict[str, str]:
    """Return what *tracker* returned from on_start(), to be stored in run.json.

    Raises:
        PluginError: It is not a mapping of strings.
    """
    if isinstance(state, Mapping) and all(
        isinstance(text, str) for pair in state.items() for text in pair
    ):
        return dict(state)
    raise PluginError(
        f"{describe(tracker)} does not keep its contract: on_start() returned "
        f"{describe_value(state)}, not a mapping of strings"
    )


def _facts(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tracker is told of a run besides its configuration."""
    data = info.get("data") or {}
    kept = ("dataset", "protocol", "image_shape", "normal_classes", "images")
    return {
        **{key: info[key] for key in ("device", "precision", "seed", "versions") if key in info},
        "data": {key: data[key] for key in kept if key in data},
    }


def _epochs_trained(info: Mapping[str, Any]) -> int:
    members = info.get("members") or [{}]
    return int(members[0].get("epoch", 0))


def _final_metrics(info: Mapping[str, Any]) -> dict[str, float]:
    metrics = {"seconds": float(info.get("seconds", 0.0))}
    for number, member in enumerate(info.get("members", []), 1):
        prefix = "" if number == 1 else f"member_{number}/"
        metrics[f"{prefix}best_epoch"] = float(member["best_epoch"])
        if member["best_validation"] is not None:
            metrics[f"{prefix}best_validation"] = float(member["best_validation"])
    return metrics
