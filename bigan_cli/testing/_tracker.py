"""The checks of a tracker: it follows a training that is interrupted, resumed and finished."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigan_cli.contracts import EpochRecord, TrackedResult, TrackedRun, Tracker
from bigan_cli.plugins.registry import TRACKER
from bigan_cli.testing._checks import cached_fixture, check, require
from bigan_cli.testing._plugin import PluginKit

_DIAGNOSTICS = {"sample_variance": 0.9, "code_variance": 1.1, "logit_gap": 0.4}
_CONFIG = {
    "data": {"dataset": "digits", "root": None, "inlier": [0], "options": {}},
    "train": {"epochs": 4, "lr": 0.0004},
    "score": {"weights": {"reconstruction": 1.0}},
}


@dataclass(frozen=True)
class _Report:
    """What a tracker did with a training.

    Attributes:
        state: What on_start() returned at first.
        resumed: What it returned when the run was resumed.
        printed: What the tracker printed on standard output.
        outside: Files that it wrote into the run directory, outside its own folder.
    """

    state: Any
    resumed: Any
    printed: str
    outside: tuple[str, ...]


class TrackerKit(PluginKit):
    """The checks of :func:`bigan_cli.testing.tracker_checks`."""

    kind = TRACKER

    def __init__(self, cls: type[Tracker], options: Mapping[str, Any] | None) -> None:
        super().__init__(cls, options)

    @cached_fixture
    def report(self) -> _Report:
        """A training of four epochs of two members, interrupted after two and resumed."""
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()) as out:
            run = Path(folder, "run")
            given = _write_run(run)
            state = self._train(run, range(1, 3), {}, "interrupted")
            kept = state if isinstance(state, Mapping) else {}
            resumed = self._train(run, range(3, 5), kept, "done")
            own = run / "trackers" / self.cls.name
            found = (path for path in run.rglob("*") if path.is_file())
            outside = {str(p.relative_to(run)) for p in found if own not in p.parents} - given
            return _Report(state, resumed, out.getvalue(), tuple(sorted(outside)))

    def _train(self, run: Path, epochs: range, state: Mapping[str, str], status: Any) -> Any:
        tracker = self.cls(self.options)
        pictures = {path.stem: path for path in run.glob("*.png")}
        first = epochs.start - 1
        returned = tracker.on_start(
            TrackedRun(
                path=run,
                folder=run / "trackers" / self.cls.name,
                config=_CONFIG,
                info={"device": "cpu", "seed": 0, "data": {"images": {"train": 40}}},
                epoch=first,
                state=state,
            )
        )
        if not first:
            tracker.on_pictures(0, pictures)
        for member in (1, 2):
            for epoch in epochs:
                tracker.on_epoch(_record(epoch), member)
        tracker.on_pictures(epochs[-1], pictures)
        metrics = {"best_epoch": 2.0, "member_2/best_epoch": 1.0, "seconds": 1.5}
        tracker.on_end(TrackedResult(status, metrics, [run / "config.toml"]))
        return returned

    @check
    def follows_a_training(self) -> str:
        """It follows a training that is interrupted, resumed and finished."""
        _ = self.report
        return "2 members of 4 epochs"

    @check
    def state_is_text(self) -> str:
        """on_start() returns a mapping of strings, which run.json can hold."""
        for state in (self.report.state, self.report.resumed):
            good = isinstance(state, Mapping) and all(
                isinstance(text, str) for pair in state.items() for text in pair
            )
            require(good, f"on_start() returned {state!r}")
        return ", ".join(self.report.state) or "it needs none"

    @check
    def state_continues(self) -> str:
        """on_start() of a resumed run returns the state that it was given."""
        report = self.report
        require(
            report.resumed == report.state,
            f"it was given {report.state!r} and returned {report.resumed!r}: the next resumed "
            "training would be reported elsewhere",
        )
        return ""

    @check
    def prints_nothing(self) -> str:
        """It prints nothing on standard output."""
        require(not self.report.printed, f"it printed {self.report.printed[:80]!r}")
        return ""

    @check
    def writes_into_its_folder(self) -> str:
        """In the run directory it writes into its own folder only."""
        outside = self.report.outside
        require(not outside, f"it wrote {', '.join(outside[:3])}")
        return ""


def _write_run(run: Path) -> set[str]:
    """Write the files of a run that a tracker is given; return their names."""
    from PIL import Image

    run.mkdir()
    (run / "config.toml").write_text("schema = 1\n")
    for name in ("comparison", "fake", "true", "test", "losses"):
        Image.new("RGB", (24, 16), "white").save(run / f"{name}.png")
    return {path.name for path in run.iterdir()}


def _record(epoch: int) -> EpochRecord:
    losses = {"d_loss": 1.5 / epoch, "eg_loss": 0.5, "image_cycle": 0.2}
    return EpochRecord(epoch, losses, 1000.0, 0.1, 1.0 / epoch, best=True, extra=_DIAGNOSTICS)
