"""What training shows while it runs, read off a pseudo-terminal that is really drawn on."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache

import pytest

from bigan_cli.cli.views.text_graphics import bar, sparkline
from bigan_cli.cli.views.training_progress import TrainingProgress
from bigan_cli.contracts.epoch_record import EpochRecord

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals")
pyte = pytest.importorskip("pyte")

# A run on few photographs as its workflow reports it: preparation, cross-fitting, epochs with a
# warning, a save, the self-test.
SCRIPT = """
import os
from bigan_cli.cli.terminal import Terminal
from bigan_cli.cli.views.training_live import LiveTraining
from bigan_cli.cli.views.training_log import TrainingLog
from bigan_cli.contracts.epoch_record import EpochRecord

terminal = Terminal()
show = LiveTraining if terminal.interactive else TrainingLog

def draw():
    # Rather than at certain times, so that a busy machine draws every state, too.
    if terminal.interactive:
        progress._live.refresh()

with show(terminal, 8, save_interval=1) as progress:
    terminal.note("photographs (about 96 pixels wide): features of a pretrained network")
    progress.on_progress("computing features", 60, 120)
    draw()
    progress.on_member(0, 0)
    for fold in range(2):
        for step in (20, 40):
            progress.on_fold(fold, 2, step, 40)
            draw()
    for epoch in range(1, 9):
        for step in (10, 20):
            progress.on_step(epoch, step, 20)
            draw()
        progress.on_progress(f"saving epoch {epoch}", 0, None)
        draw()
        # The signs of failure are looked for by a module that imports torch.
        figures = "DIAGNOSTICS" in os.environ and dict(
            steps=400, normal_variance=0.5, sample_variance=0.01 if epoch > 3 else 1.0,
            code_variance=1.0, logit_deviation=1.0, logit_gap=1.0, real_accuracy=0.9,
            fake_accuracy=0.9,
        )
        losses = {"d_loss": 1.7, "eg_loss": 0.5, "image_cycle": 0.3}
        progress.on_epoch(EpochRecord(epoch, losses, 1850.0, 0.1, 1 / epoch, True, figures or {}))
        if epoch == 4:
            terminal.warn("G's images are all alike: they vary 1.0% as much as the normal images "
                          "(mode collapse); try a lower 'train.lr'")
    progress.on_progress("self-test", 48, 96)
    draw()
terminal.suggest("next", "bigan", "evaluate", "--run", "a longer run of mine")
"""


@dataclass
class Recording:
    """What a command drew on a terminal: all text of the end, and all screens until then."""

    code: int
    raw: str
    text: str
    screens: list[str]

    def ever(self, words: str) -> bool:
        """Return whether some screen had *words*."""
        return any(words in screen for screen in self.screens)


def record(command, *, columns, rows=40, **environment) -> Recording:
    """Run *command* on a pseudo-terminal of its own."""
    from fcntl import ioctl
    from termios import TIOCSWINSZ

    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    inherited = {name: v for name, v in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment = {**inherited, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment}
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    raw = b""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        if not select.select([leader], [], [], 1)[0]:
            continue
        try:
            data = os.read(leader, 65536)
        except OSError:  # Linux reports the end so
            break
        if not data:
            break
        raw += data
    os.close(leader)
    return Recording(process.wait(timeout=10), raw.decode(), *_drawn(raw, columns, rows))


def _drawn(raw: bytes, columns: int, rows: int) -> tuple[str, list[str]]:
    """Return what is on the terminal at the end, and each time before something is erased."""
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    screens = []
    for part in re.split(rb"(?=\r\x1b\[2K)", raw):
        stream.feed(part)
        screens.append("\n".join(line.rstrip() for line in screen.display).rstrip())
    return screens[-1], screens


@cache
def played(columns, **environment) -> Recording:
    return record([sys.executable, "-c", SCRIPT], columns=columns, **environment)


@cache
def piped() -> str:
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, capture_output=True, check=True, text=True).stderr


def words_of(text):
    return {word for line in text.splitlines() for word in line.split()}


@pytest.mark.parametrize("columns", [80, 40])
def test_the_display_shows_what_matters_and_breaks_no_word(columns):
    seen = played(columns, DIAGNOSTICS="1")
    assert seen.code == 0, seen.text
    for words in (
        "computing features",
        "cross-fitting, fold 2/2",
        "epoch 6/8",
        "step 10/20",
        "left",
        "█▆",
        "best 0.1429 in epoch 7",
        "E and G 0.500",
        "reconstruction 0.300",
        "saving epoch",
        "mode collapse",
        "self-test",
    ):
        assert seen.ever(words), f"{words!r} is on none of:\n{seen.screens[-5:]}"
    assert words_of(seen.text) - words_of(piped()) <= {"\\"}
    # It is gone at the end, and what was printed meanwhile stays.
    assert "reconstruction 0.300" not in seen.text
    assert "warning: G's images are all alike" in " ".join(seen.text.split())
    assert "\x1b[?25h" in seen.raw  # the cursor is shown again


def test_a_command_that_does_not_fit_can_be_copied():
    seen = played(40, DIAGNOSTICS="1")
    at = seen.text.index("next:")
    assert seen.text[at:].splitlines() == [
        "next:",
        "  bigan evaluate --run \\",
        "    'a longer run of mine'",
    ]


def test_without_colour_the_bars_are_still_bars():
    seen = played(80, NO_COLOR="1")
    assert seen.ever("━")
    assert seen.ever("─")
    assert not any(f"\x1b[{code}" in seen.raw for code in ("3", "1;3", "9"))


def test_ascii_terminals_get_ascii():
    seen = played(80, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert seen.code == 0, seen.text
    assert seen.ever("####")
    assert seen.raw.isascii()


@pytest.mark.parametrize("kind", ["dumb", "pipe"])
def test_elsewhere_there_are_plain_lines(kind):
    text = piped() if kind == "pipe" else played(80, TERM="dumb").raw.replace("\r\n", "\n")
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert [line[:9] for line in lines if line.startswith("epoch")] == [
        f"epoch {i}/8" for i in range(1, 9)
    ]
    assert any(re.match(r"cross-fitting, fold 1/2: done, .* left of cross-fit", x) for x in lines)
    assert text.count("eta=") == 8
    assert lines[-1] == "next: bigan evaluate --run 'a longer run of mine'"


@pytest.mark.slow
def test_a_real_run(tmp_path, small_options):
    command = [sys.executable, "-m", "bigan_cli", "train", "--outlier", "8", *small_options]
    seen = record([*command, "--epochs", "3", "--save-dir", str(tmp_path)], columns=40)
    assert seen.code == 0, seen.text
    assert seen.screens[0].startswith("loading PyTorch")
    assert seen.ever("epoch 0/3")
    assert "learned what is normal from" in " ".join(seen.text.split())


def test_the_time_left_is_shown_once_it_is_known_and_covers_all_work(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = TrainingProgress(epochs=10, members=2, save_interval=5)

    def epoch(number: int) -> None:
        """Train an epoch: two steps of 1 s, the decoder and validation, a save of 7 s."""
        for step in (1, 2):
            now[0] += 1
            progress.on_step(number, step, 2)
        now[0] += 2
        if number % 5 == 0:
            progress.on_progress(f"saving epoch {number}", 0, None)
            now[0] += 7
        progress.on_epoch(EpochRecord(number, {}, 1.0, 4.0, 0.5, best=True))

    progress.on_member(0, 0)
    assert progress.remaining_folds() is None
    end = 0.5 * 6 + 4 * 18 + 3 * 6
    for fold in range(4):  # 9 steps of 2 s, and 6 s between folds
        now[0] += 6 if fold else 3
        for step in range(1, 10):
            now[0] += 2
            progress.on_fold(fold, 4, step, 9)
            if fold == 0 and step < 9:
                assert progress.remaining_folds() is None
        assert progress.remaining_folds() == pytest.approx(end - now[0], rel=0.2, abs=1)
        assert progress.remaining() is None
    now[0] += 16  # the untrained networks are saved
    took = {}
    for number in range(1, 11):
        epoch(number)
        took[number] = now[0], progress.remaining()
    own_end = now[0]
    another = end + 16 + 10 * 4 + 2 * 7
    for number, (at, remaining) in took.items():
        assert remaining == pytest.approx(own_end - at + another, rel=0.2), number
    progress.on_member(1, 0)
    assert progress.remaining() == pytest.approx(another, rel=0.1)


def test_a_resumed_run_counts_only_what_is_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = TrainingProgress(epochs=10, save_interval=100)
    progress.on_member(0, 7)
    assert progress.share == 0.7
    for step in (3, 4):  # in the middle of an epoch
        now[0] += 3
        progress.on_step(8, step, 4)
    assert progress.share == pytest.approx(0.8)
    assert progress.remaining() is None
    progress.on_epoch(EpochRecord(8, {}, 1.0, 4.0, 0.5, best=True))
    assert progress.remaining() == pytest.approx(2 * 12 + 3, rel=0.2)  # and one save


def test_sparklines():
    assert sparkline([1.0, 0.1, 0.01], 10) == "█▅▁"
    assert sparkline([3.0] * 5, 3) == "▁▁▁"
    assert len(sparkline([1 / (i + 1) for i in range(500)], 24)) == 24
    assert sparkline([0.0, 1.0, float("nan")], 5) == "▁█"
    assert sparkline([], 5) == sparkline([float("inf")], 5) == ""


def test_bars():
    assert bar(0.25, 10, unicode=True) == ("━━╸", "───────")
    assert bar(0.5, 10, unicode=False) == ("#####", "-----")
    assert [len("".join(bar(share, 7, unicode=True))) for share in (-1, 0, 0.5, 1, 2)] == [7] * 5
