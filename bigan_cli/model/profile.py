"""Profiling of training steps: a Chrome trace and a table of phases and operators."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch._C._autograd import DeviceType

if TYPE_CHECKING:
    from torch.profiler import profile

# Warm-up steps (memory is allocated, kernels are chosen, on a GPU the step is recorded), and
# profiled steps.
_WARM_UP = 5
_WATCHED = 20
STEPS_NEEDED = _WARM_UP + 1
_ROWS = 12
_PHASE = "step: "
_REST = "between the steps: batches, ends of epochs"


def phase(name: str) -> AbstractContextManager[object]:
    """Return a context that the profiler records as *name*; without a profiler it does nothing."""
    # No public function tells whether a profiler runs, and a step has ten of these contexts.
    if not torch._C._autograd._profiler_enabled():  # noqa: SLF001
        return nullcontext()
    return torch.profiler.record_function(_PHASE + name)


@dataclass(frozen=True)
class ProfileRow:
    """A phase of a step or an operator, averaged over the profiled steps.

    Attributes:
        part: Name of the part of the step (``phase``) or of the operator.
        kind: ``phase``, ``operator`` (its own time, without what it calls), on a GPU ``kernel``
            in its place, or ``total``. Steps that are replayed have no phases; on a CPU the
            phases make up the whole.
        calls: Calls per step.
        milliseconds: Time on the host.
        device_milliseconds: Time of the GPU's kernels; None on a CPU.
        share: Fraction of the step's wall-clock time: on the host, or of the kernels on a GPU;
            for the total, the fraction of time that the GPU was busy.
    """

    part: str
    kind: str
    calls: float
    milliseconds: float
    device_milliseconds: float | None
    share: float

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


class StepProfiler:
    """Profiles some steps of a training run without changing it.

    Call it after every step, then :meth:`finish` and :meth:`trace`.

    Args:
        device: Where the networks are.
    """

    def __init__(self, device: torch.device) -> None:
        # Otherwise the profiler's library logs about itself, and about a missing GPU.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        self._device = device
        self._steps = 0
        self._watched = 0
        self._started = 0.0
        self._seconds = 0.0
        self._profile: profile | None = None

    def __call__(self) -> None:
        """Record the end of a step."""
        self._steps += 1
        if self._steps == _WARM_UP:
            self._start()
        elif self._steps == _WARM_UP + _WATCHED:
            self._stop()

    def finish(self) -> list[ProfileRow]:
        """Stop profiling and return the table; empty if there were too few steps."""
        self._stop()
        return self._rows(self._profile) if self._profile is not None and self._watched else []

    def trace(self) -> str:
        """Return the trace in Chrome's format, which Perfetto reads too; after :meth:`finish`."""
        if self._profile is None:
            raise ValueError("no step was watched")
        with TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            self._profile.export_chrome_trace(str(path))
            return path.read_text(encoding="utf-8")

    def _start(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(activities=activities, acc_events=True)
        self._wait()
        self._profile.start()
        self._started = time.perf_counter()

    def _stop(self) -> None:
        if self._profile is None or self._watched:
            return
        self._wait()
        self._seconds = time.perf_counter() - self._started
        self._watched = self._steps - _WARM_UP
        self._profile.stop()

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _rows(self, watched: profile) -> list[ProfileRow]:
        wall = self._seconds * 1e3 / self._watched
        on_gpu = self._device.type == "cuda"

        def row(part: str, kind: str, calls: int, host: float, device: float) -> ProfileRow:
            # The profiler counts microseconds, over all steps.
            host, device = host / 1e3 / self._watched, device / 1e3 / self._watched
            return ProfileRow(
                part,
                kind,
                calls / self._watched,
                host,
                device if on_gpu else None,
                (device if on_gpu else host) / wall,
            )

        events = watched.key_averages()
        phases = [
            row(
                event.key.removeprefix(_PHASE),
                "phase",
                event.count,
                event.cpu_time_total,
                event.device_time_total,
            )
            for event in events
            if event.key.startswith(_PHASE) and event.device_type == DeviceType.CPU
        ]
        if on_gpu:
            rows, busy = _kernels(watched, row)
        else:
            rows, busy = _operators(events, row), None
            # If an epoch has few steps, several epochs are profiled.
            rest = max(0.0, wall - sum(each.milliseconds for each in phases))
            phases.append(ProfileRow(_REST, "phase", 1.0, rest, None, rest / wall))
        rows.sort(key=lambda r: r.share, reverse=True)
        total = ProfileRow(
            "whole step",
            "total",
            1.0,
            wall,
            None if busy is None else busy / 1e3 / self._watched,
            1.0 if busy is None else busy / 1e3 / self._watched / wall,
        )
        return [*sorted(phases, key=lambda r: r.share, reverse=True), total, *rows[:_ROWS]]


# (part, kind, calls, microseconds of the host, microseconds of the device) of all steps -> row
_MakeRow = Callable[[str, str, int, float, float], ProfileRow]


def _operators(events: Iterable[Any], row: _MakeRow) -> list[ProfileRow]:
    return [
        row(e.key, "operator", e.count, e.self_cpu_time_total, e.self_device_time_total)
        for e in events
        if not e.key.startswith((_PHASE, "ProfilerStep", "autograd::"))
    ]


def _kernels(watched: profile, row: _MakeRow) -> tuple[list[ProfileRow], float]:
    """Return the kernels of the GPU, and the microseconds that it was busy."""
    calls: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    busy = end = 0.0
    kernels = [
        e for e in watched.events() if e.device_type == DeviceType.CUDA and not e.is_user_annotation
    ]
    for kernel in sorted(kernels, key=lambda e: e.time_range.start):
        took = kernel.time_range.end - kernel.time_range.start
        calls[kernel.name] += 1
        spent[kernel.name] += took
        busy += max(0.0, kernel.time_range.end - max(end, kernel.time_range.start))
        end = max(end, kernel.time_range.end)
    return [row(name, "kernel", calls[name], 0.0, time) for name, time in spent.items()], busy
