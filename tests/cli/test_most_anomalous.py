"""The most anomalous images, as they are listed for who watches a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from bigan_cli.cli.views.most_anomalous import MostAnomalous
from bigan_cli.storage.score_table import ScoreRow

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals")


def rows(scores, name="folder/{}.png"):
    return [
        ScoreRow(name.format(i), float(score), 0.5, "anomaly" if score > 2 else "normal")
        for i, score in enumerate(scores)
    ]


def test_the_highest_scores_come_first_with_bars_of_their_length():
    scores = np.random.default_rng(0).normal(0, 2, 500)
    kept = MostAnomalous()
    for start in range(0, 500, 64):
        kept.add([*rows(scores)[start : start + 64], ScoreRow("broken.png", error="no image")])
    lines = kept.lines(80, block="#")
    order = np.argsort(-scores)[:10]
    assert [line.split()[-1] for line in lines] == [f"folder/{i}.png" for i in order]
    assert [line.count("#") for line in lines] == [
        round(12 * scores[i] / scores.max()) for i in order
    ]
    assert ["anomaly" in line for line in lines] == [scores[i] > 2 for i in order]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_lines_fit_the_terminal_and_a_long_path_keeps_its_end(width):
    kept = MostAnomalous()
    kept.add(rows([3.0, -1.0, 0.0], name="a/very/long/folder/" * 8 + "part {}\x1b[31m\n.png"))
    lines = kept.lines(width, block="#")
    assert len(lines) == 3
    assert all(line.isprintable() and line.endswith(".png") for line in lines)
    assert all(len(line) <= max(width, 32) for line in lines)
    assert [line.count("#") for line in lines] == ([12, 0, 0] if width >= 80 else [0, 0, 0])


def test_one_image_needs_no_list_and_scores_below_zero_no_bars():
    kept = MostAnomalous()
    kept.add(rows([3.0]))
    assert kept.lines(80, block="#") == []
    kept = MostAnomalous()
    kept.add(rows([-3.0, -2.0]))
    assert [line.count("#") for line in kept.lines(80, block="#")] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "term", "block"), [(80, "xterm", "█"), (40, "xterm", ""), (80, "dumb", "#")]
)
def test_score_lists_them_on_a_real_terminal(trained, pictures, columns, term, block):
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    words = ["score", str(pictures / "more"), "--run", str(trained), "--device", "cpu"]
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "bigan_cli", *words],
        stdout=follower,
        stderr=follower,
        env={**environment, "TERM": term, "NO_COLOR": "1"},
    )
    os.close(follower)
    outcome = b""
    while True:
        try:
            chunk = os.read(leader, 4096)
        except OSError:  # the end, on Linux
            break
        if not chunk:
            break
        outcome += chunk
    os.close(leader)
    assert process.wait(60) == 0
    lines = outcome.decode().replace("\r", "").splitlines()
    start = lines.index("most anomalous:") + 1
    assert all(len(line) <= columns for line in lines[start : start + 10])
    assert "scored 50" in lines[start + 10]
    assert (block or " ") in lines[start]
    assert "\x1b[3" not in outcome.decode()
