"""The most anomalous images of a scoring, with bars, for who watches the terminal."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from bigan_cli.formatting import one_line
from bigan_cli.storage.score_table import NORMAL, ScoreRow

_MOST = 10
# Columns of the bar, the score and the label with the spaces between them.
_BAR, _SCORE, _LABEL = 12, 9, 9
_LEAST_NAME = 8


class MostAnomalous:
    """Keeps the rows with the highest scores; of equal ones, the first."""

    def __init__(self) -> None:
        self._count = 0
        self._heap: list[tuple[float, int, ScoreRow]] = []
        self.smallest_p_value = math.inf

    def add(self, rows: Sequence[ScoreRow]) -> None:
        """Take the rows of one batch."""
        for row in rows:
            if row.score is None:
                continue
            self._count += 1
            if row.p_value is not None:
                self.smallest_p_value = min(self.smallest_p_value, row.p_value)
            item = (row.score, -self._count, row)
            if len(self._heap) < _MOST:
                heapq.heappush(self._heap, item)
            else:
                heapq.heappushpop(self._heap, item)

    def lines(self, width: int, *, block: str) -> list[str]:
        """Return a line for each image, the most anomalous first; none for a single image.

        Bars are proportional to the score; a score of 0 or less has none. On a narrow terminal
        there is no bar, and the start of a long path is left out.

        Args:
            width: Columns of the terminal.
            block: The character that bars are made of.
        """
        if self._count < 2:
            return []
        rows = [row for _, _, row in sorted(self._heap, reverse=True)]
        largest = max(rows[0].score or 0.0, 0.0)
        bar = _BAR if width >= _BAR + _SCORE + _LABEL + 3 * _LEAST_NAME else 0
        room = max(_LEAST_NAME, width - bar - _SCORE - _LABEL - 3)
        return [_line(row, largest, bar, room, block) for row in rows]


def _line(row: ScoreRow, largest: float, bar: int, room: int, block: str) -> str:
    score = row.score or 0.0
    length = round(bar * max(score, 0.0) / largest) if largest else 0
    drawn = f"{block * length:<{bar}} " if bar else ""
    name = one_line(row.path)
    if len(name) > room:
        name = "..." + name[len(name) - room + 3 :]
    label = "" if row.label == NORMAL else row.label
    return f"{drawn}{score:>{_SCORE}.4g} {label:<{_LABEL}}{name}"
