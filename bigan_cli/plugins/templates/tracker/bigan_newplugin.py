"""The tracker ``newplugin`` for bigan.

It works without changes: it writes a CSV file with one row per epoch into the run directory.
Replace that by calls of your experiment tracker.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from bigan_cli.contracts import EpochRecord, Options, TrackedResult, TrackedRun, Tracker
from bigan_cli.hookspecs import hookimpl


class NewPluginOptions(Options):
    """The table ``[output.tracker_options.newplugin]`` of a config file."""

    digits: int = Field(6, ge=1, le=17, description="Significant digits of the figures.")


class NewPluginTracker(Tracker):
    """Writes ``epochs.csv``: member, epoch, validation error and losses."""

    name = "newplugin"
    summary = "epochs as a CSV file"
    Options = NewPluginOptions

    def on_start(self, run: TrackedRun) -> Mapping[str, str]:
        """Begin a file, or continue that of the run that is resumed."""
        run.folder.mkdir(parents=True, exist_ok=True)
        self.file = Path(run.state.get("file") or run.folder / "epochs.csv")
        return {"file": str(self.file)}

    def on_epoch(self, record: EpochRecord, member: int) -> None:
        """Add a row."""
        new = not self.file.exists()
        with self.file.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(["member", "epoch", "validation", *record.losses])
            figures = (record.validation, *record.losses.values())
            rows.writerow([member, record.epoch, *(self._text(value) for value in figures)])

    def on_pictures(self, epoch: int, pictures: Mapping[str, Path]) -> None:
        """Do nothing: pictures[NAME] is a PNG file that could be uploaded."""

    def on_end(self, result: TrackedResult) -> None:
        """Do nothing: result.metrics and result.files could be uploaded."""

    def _text(self, value: float) -> str:
        return f"{value:.{self.options.digits}g}"


@hookimpl
def bigan_trackers() -> list[type[Tracker]]:
    """Provide the tracker."""
    return [NewPluginTracker]
