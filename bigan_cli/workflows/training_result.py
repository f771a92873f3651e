"""The outcome of a training, and what one would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bigan_cli.config.schema import RunConfig
from bigan_cli.formatting import count
from bigan_cli.model.diagnostics import TrainingWarning
from bigan_cli.model.profile import ProfileRow
from bigan_cli.model.summary import LayerRow
from bigan_cli.workflows.self_test_result import SelfTest


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        run: The run directory.
        status: ``"done"``, or ``"interrupted"`` where ``should_stop`` ended it; the run can be
            resumed.
        all_saved: Whether a resumed run continues at the step where it was interrupted; else
            from the last save, or from the start.
        epochs: Epochs trained by this call, over all ensemble members.
        refitted: Model files to which a changed score was fitted.
        seconds: What the call took.
        info: The contents of run.json.
        profile: The profile of a step; empty unless requested.
        self_test: Which synthetic defects are found; None unless requested.
    """

    run: Path
    status: Literal["done", "interrupted"]
    epochs: int
    refitted: int
    seconds: float
    info: Mapping[str, Any]
    all_saved: bool = True
    profile: tuple[ProfileRow, ...] = ()
    self_test: SelfTest | None = None

    @property
    def members(self) -> tuple[Mapping[str, Any], ...]:
        """The ensemble members: seed, epochs, best epoch and its validation figure."""
        return tuple(self.info["members"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong with the networks at the end of training, one line each."""
        several = len(self.members) > 1
        return tuple(
            f"{f'member {number}, ' if several else ''}at the end of training: "
            f"{TrainingWarning(**warning)}"
            for number, member in enumerate(self.members, 1)
            for warning in member["warnings"]
        )

    @property
    def verdict(self) -> str:
        """Whether the model is usable, in one sentence."""
        test = (self.info.get("data") or {}).get("images", {}).get("test", 0)
        untested = f"{count(test, 'test image')} not evaluated yet" if test else "no test images"
        if self.warnings:
            return "not ready to use: something was wrong at the end of training, see the warnings"
        if self.self_test is None:
            return f"how well it finds anomalies is not known: {untested}"
        return f"{self.self_test.verdict()}; real anomalies are not tested: {untested}"

    def as_dict(self) -> dict[str, Any]:
        """Return the run's path and the contents of run.json, as plain values."""
        rows = {"profile": [row.as_dict() for row in self.profile]} if self.profile else {}
        return {"run": str(self.run), **self.info, **rows}


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would do.

    Attributes:
        config: The complete configuration.
        layers: The layers of the networks.
        steps_per_epoch: Training steps of an epoch.
        seconds_per_step: What a step takes after warm-up.
    """

    config: RunConfig
    layers: tuple[LayerRow, ...]
    steps_per_epoch: int
    seconds_per_step: float

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {
            "config": self.config.model_dump(mode="json", by_alias=True),
            "layers": [row.as_dict() for row in self.layers],
            "steps_per_epoch": self.steps_per_epoch,
            "seconds_per_step": self.seconds_per_step,
        }
