"""What all benchmarks share: contenders in turn, medians, targets, results with their origin.

A benchmark runs its contenders one after the other, and that several times over (A B A B ...),
so that a machine that slows down slows all of them. Every run is kept. A figure is the median
of its runs, with the quartiles as its spread; a ratio is taken within each round.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from machine import ROOT, commit, machine, versions
from tables import as_markdown

RESULTS = ROOT / "benchmarks" / "results"

Figures = Mapping[str, float]


def arguments(description: str, repeats: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--repeats", type=int, default=repeats, help="rounds of all contenders [%(default)s]"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a small version, to see that it works; no result"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for the results [benchmarks/results; --quick: none]"
    )
    return parser


@dataclass(frozen=True)
class Target:
    """What a figure should reach: ``Target(most=1.5)`` or ``Target(least=3)``."""

    most: float | None = None
    least: float | None = None

    def reached(self, value: float) -> bool:
        """Return whether *value* lies within."""
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )

    def __str__(self) -> str:
        return f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"


class Benchmark:
    """One benchmark: what it measured, what was to be reached, and the files that tell of it.

    Args:
        name: Of the result files.
        title: One line that says what is measured.
        options: The parsed command line.
        settings: All that decides the figures, the seed among it.
        units: Quantity -> its unit, for the quantities that contenders return.
        with_gpu: Whether the graphics card had a part in it.
    """

    def __init__(
        self,
        name: str,
        title: str,
        options: argparse.Namespace,
        settings: Mapping[str, Any],
        units: Mapping[str, str],
        *,
        with_gpu: bool = False,
    ) -> None:
        self.name = name
        self.title = title
        self.options = options
        self.settings = dict(settings)
        self.units = dict(units)
        self.with_gpu = with_gpu
        self.notes: list[str] = []
        self._runs: dict[str, dict[str, list[float]]] = {}
        self._checks: list[dict[str, Any]] = []

    def interleave(
        self, contenders: Mapping[str, Callable[[], Figures]], *, discarded: int = 0
    ) -> None:
        """Run all *contenders* in turn, as many rounds as ``--repeats`` says.

        Args:
            contenders: Name -> runs it once and returns quantity -> value.
            discarded: Rounds before these that do not count (files come into the memory).
        """
        rounds = discarded + self.options.repeats
        for i in range(rounds):
            for contender, once in contenders.items():
                figures = once()
                summary = ", ".join(f"{q} {v:.4g} {self.units[q]}" for q, v in figures.items())
                counts = i >= discarded
                print(
                    f"round {i + 1}/{rounds}{'' if counts else ' (not counted)'}: "
                    f"{contender}: {summary}",
                    file=sys.stderr,
                    flush=True,
                )
                if counts:
                    self.add(contender, figures)

    def add(self, contender: str, figures: Figures) -> None:
        """Keep the figures of one run of *contender*."""
        kept = self._runs.setdefault(contender, {})
        for quantity, value in figures.items():
            kept.setdefault(quantity, []).append(float(value))

    def runs(self, contender: str, quantity: str) -> list[float]:
        """Return the figures of all counted runs, in their order."""
        return self._runs[contender][quantity]

    def measured(self, contender: str) -> list[str]:
        """Return the quantities that *contender* returned."""
        return list(self._runs[contender])

    def ratio(self, contender: str, peer: str, quantity: str, target: Target | None = None) -> None:
        """Compare two contenders by *contender* / *peer*, round by round."""
        pairs = zip(self.runs(contender, quantity), self.runs(peer, quantity), strict=True)
        self.check(f"{contender} / {peer}", [a / b for a, b in pairs], "x", target)

    def difference(
        self, contender: str, peer: str, quantity: str, target: Target | None = None
    ) -> None:
        """Compare two contenders by *contender* - *peer*, round by round."""
        pairs = zip(self.runs(contender, quantity), self.runs(peer, quantity), strict=True)
        unit = self.units[quantity]
        self.check(f"{contender} - {peer}", [a - b for a, b in pairs], unit, target)

    def check(
        self, label: str, values: list[float], unit: str, target: Target | None = None
    ) -> None:
        """Keep a figure made of others, and whether its median reaches *target*."""
        described = describe(values)
        self._checks.append(
            {
                "figure": label,
                "unit": unit,
                **described,
                "target": str(target) if target else None,
                "reached": target.reached(described["median"]) if target else None,
            }
        )

    def note(self, text: str) -> None:
        """Keep something that a reader of the figures must know."""
        self.notes.append(text)

    def document(self) -> dict[str, Any]:
        """Return the whole result, in terms that JSON has."""
        return {
            "name": self.name,
            "title": self.title,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": _command(),
            "quick": self.options.quick,
            "settings": {"repeats": self.options.repeats, **self.settings},
            "machine": machine(with_gpu=self.with_gpu),
            "versions": versions(),
            "commit": commit(),
            "measured": [
                {
                    "contender": contender,
                    "quantity": quantity,
                    "unit": self.units[quantity],
                    **describe(values),
                }
                for contender, quantities in self._runs.items()
                for quantity, values in quantities.items()
            ],
            "checks": self._checks,
            "notes": self.notes,
        }

    def finish(self) -> int:
        """Print the result, write its files, and return the exit code.

        A quick run is no result: it writes files only where ``--output`` says so. A target
        that was missed is reported in the files and is no failure of the benchmark.
        """
        document = self.document()
        text = as_markdown(document)
        print(text)
        folder = self.options.output or (None if self.options.quick else RESULTS)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            written = json.dumps(document, indent=2, allow_nan=False)
            (folder / f"{self.name}.json").write_text(written + "\n", encoding="utf-8")
            (folder / f"{self.name}.md").write_text(text + "\n", encoding="utf-8")
        return 0


def describe(values: list[float]) -> dict[str, Any]:
    """Return the median, the quartiles and the values themselves."""
    low, _, high = quantiles(values, method="inclusive") if len(values) > 1 else values * 3
    return {"median": median(values), "quartiles": [low, high], "runs": values}


def _command() -> str:
    """Return the command line; without the paths of this machine."""
    words = [word if not Path(word).is_absolute() else "DIR" for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
