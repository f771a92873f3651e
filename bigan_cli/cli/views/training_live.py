"""Training progress on a terminal: bars, validation, losses and warnings, drawn in place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.text_graphics import bar, sparkline
from bigan_cli.cli.views.training_progress import TrainingProgress
from bigan_cli.formatting import human_time

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

# Below this many columns, the text of a bar gets a line of its own.
_WIDE = 56
_LONGEST_BAR = 40
_SPARKLINE = 24
_GAP = "  "
_DRAWN_PER_SECOND = 5
_LOSSES = {"d_loss": "D", "eg_loss": "E and G", "image_cycle": "reconstruction"}


class LiveTraining(TrainingProgress):
    """Draws the progress in place; it disappears at the end.

    Args:
        terminal: An interactive one.
        epochs: As of :class:`TrainingProgress`.
        members: Likewise.
        selection: Likewise.
        save_interval: Likewise.
    """

    def __init__(
        self,
        terminal: Terminal,
        epochs: int,
        members: int = 1,
        selection: str = "validation",
        save_interval: int = 10,
    ) -> None:
        super().__init__(epochs, members, selection, save_interval)
        self._verbose = terminal.verbose
        self._live = terminal.live(self, _DRAWN_PER_SECOND)
        self._unicode = terminal.unicode

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the terminal has been closed
            self._live.stop()

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the display, none longer than the terminal is wide."""
        yield from self._lines(options.max_width)

    def _lines(self, width: int) -> Iterator[Text]:
        bars = [*self._bars()]
        labels = [label for label, _, _ in bars]
        rows = [*self._rows(min(_SPARKLINE, max(8, width // 3)))]
        indent = max((len(label) for label in (*labels, *(row[0] for row in rows))), default=0)
        if width < _WIDE:
            indent = 0
        for label, share, right in bars:
            yield from self._bar_lines(label, share, right, indent, width)
        for label, *parts in rows:
            yield from _wrapped(label, parts, indent, width)

    def _bars(self) -> Iterator[tuple[str, float | None, str]]:
        """Yield (label, share that is done, text at the right) of each bar."""
        if self.started:
            which = f"member {self.member + 1}/{self.members}, " if self.members > 1 else ""
            remaining = self.remaining()
            left = "" if remaining is None else f"{human_time(remaining)} left"
            yield f"{which}epoch {self.epoch}/{self.epochs}", self.share, left
        activity = self.activity
        if activity is None:
            return
        of = "" if activity.total is None else f"{activity.done:,}/{activity.total:,}"
        if activity.name.startswith("epoch "):
            record = self.record if self._verbose else None
            right = f"{record.images_per_second:,.0f} samples/s" if record else ""
            yield f"step {of}", activity.share, right
        else:
            if activity.name.startswith("cross-fitting"):
                remaining = self.remaining_folds()
            else:
                remaining = None if self.started else activity.remaining(time.monotonic())
            left = "" if remaining is None else f"{human_time(remaining)} left"
            yield activity.name, activity.share, left or of

    def _rows(self, sparkline_width: int) -> Iterator[tuple[str, ...]]:
        """Yield (label, parts that stay on one line each) of each further row."""
        record = self.record
        if record is None:
            return
        parts = [f"{record.validation:.4f}"]
        if self._unicode and len(self.validation) > 1:
            parts.insert(0, sparkline(self.validation, sparkline_width))
        if self.selection == "validation" and self.best is not None:
            parts.append(f"best {self.best.validation:.4f} in epoch {self.best.epoch}")
        yield "validation", *parts
        losses = [
            f"{word} {record.losses[n]:.3f}" for n, word in _LOSSES.items() if n in record.losses
        ]
        if losses:
            yield "losses", *losses
        if self.warnings:
            yield "warning", *self.warnings

    def _bar_lines(
        self, label: str, share: float | None, right: str, indent: int, width: int
    ) -> Iterator[Text]:
        from rich.text import Text

        if not indent:
            yield Text(_GAP.join(filter(None, (label, right)))[:width])
            yield self._bar(share, width - 1)
            return
        room = width - indent - len(_GAP) - (len(_GAP) + len(right) if right else 0)
        line = Text(label.ljust(indent) + _GAP)
        line.append_text(self._bar(share, min(_LONGEST_BAR, room)))
        yield line.append(f"{_GAP}{right}" if right else "")

    def _bar(self, share: float | None, width: int) -> Text:
        """Return a bar; where the share is not known, a block that moves along it."""
        from rich.text import Text

        if share is not None:
            filled, empty = bar(share, width, unicode=self._unicode)
            return Text.assemble((filled, "green" if share >= 1 else "cyan"), (empty, "dim"))
        block = max(1, width // 6)
        start = int(time.monotonic() * 8) % (width - block + 1)
        line, _ = bar(1, width, unicode=self._unicode)
        _, rest = bar(0, width, unicode=self._unicode)
        return Text.assemble(
            (rest[:start], "dim"), (line[:block], "cyan"), (rest[start + block :], "dim")
        )


def _wrapped(label: str, parts: Sequence[str], indent: int, width: int) -> Iterator[Text]:
    """Yield lines with *label* and *parts*, broken between parts only."""
    from rich.text import Text

    style = "bold yellow" if label == "warning" else ""
    line = label.ljust(indent)
    for part in parts:
        if len(line) + len(_GAP) + len(part) > width and line.strip() != label:
            yield Text(line, style)
            line = " " * indent + _GAP + part if indent else part
        else:
            line += _GAP + part
    yield Text(line, style)
