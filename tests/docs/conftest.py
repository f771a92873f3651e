"""What the code blocks of a page find where they run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, photographs, monkeypatch):
    """Return the working folder of a page: with good images, today's, and parts with defects."""
    folder = tmp_path / "here"
    shutil.copytree(photographs / "train" / "good", folder / "good")
    shutil.copytree(photographs / "test" / "good", folder / "today")
    shutil.copy(photographs / "test" / "spot" / "00.png", folder / "today" / "odd.png")
    for part in ("train", "test"):
        shutil.copytree(photographs / part, folder / "parts" / part)
    from PIL import Image

    mask = Image.new("L", (96, 72))
    mask.paste(255, (8, 8, 88, 64))
    mask.save(folder / "mask.png")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def line(tmp_path, own_images, write_digits, monkeypatch):
    """Return the working folder of the guide to deployment: with a trained run, and new images."""
    folder = tmp_path / "line"
    shutil.copytree(own_images, folder)
    new = write_digits(tmp_path / "new", 1200, 1797, only=3)
    odd = write_digits(tmp_path / "odd", 1200, 1230)
    for name in ("good-camera-2", "good-now", "camera", "today", "photos"):
        (folder / name).mkdir()
        # More than these of one camera would be noticed as a drift: other people wrote them.
        for image in new[:20] if name == "camera" else new:
            shutil.copy(image, folder / name)
    for name, image in zip(("part.png", "part-1.png", "part-2.png"), odd, strict=False):
        shutil.copy(image, folder / name)
        shutil.copy(image, folder / "today")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    """Return a folder that packages are installed into, for this process and those it starts."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
    yield folder
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


class Services:
    """Runs the commands that do not end by themselves.

    Attributes:
        port: Of the last ``bigan serve``, which listens until the page has ended.
    """

    def __init__(self) -> None:
        self.port = 0
        self._serving: list[subprocess.Popen[str]] = []

    def serve(self, words: list[str]) -> None:
        """Start ``bigan serve``, and wait until it can be asked."""
        process = self._start([*words, "--port", "0"])
        self._serving.append(process)
        first = self._line(process)
        found = re.search(r"http://127\.0\.0\.1:(\d+)", first)
        assert found, first
        self.port = int(found[1])

    def watch(self, words: list[str]) -> None:
        """Run ``bigan watch`` until every image of its folder has a row."""
        process = self._start(words)
        images, rows = Path(words[1]), Path(words[words.index("--output") + 1])
        assert self._line(process).startswith("watching")
        limit = time.monotonic() + 120
        while not rows.exists() or rows.read_text().count("\n") <= len(list(images.iterdir())):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        self._stop(process)

    def stop(self) -> None:
        """Stop what still runs."""
        for process in self._serving:
            self._stop(process)

    @staticmethod
    def _start(words: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bigan_cli", *words]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stderr is not None
        return process.stderr.readline()

    @staticmethod
    def _stop(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 0, messages


@pytest.fixture
def services() -> Iterator[Services]:
    """Return what runs services; they are stopped at the end, as their users would."""
    made = Services()
    try:
        yield made
    finally:
        made.stop()
