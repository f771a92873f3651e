"""What runs beside the code blocks: services of bigan, TensorBoard, clusters."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen


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

    def tensorboard(self, words: list[str]) -> None:
        """Run TensorBoard until it has answered."""
        command = [sys.executable, "-m", "tensorboard.main", *words, "--port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        found = next(filter(None, (re.search(r"http://\S+", line) for line in lines)))
        with urlopen(f"{found[0]}data/runs") as answer:
            assert json.load(answer)
        process.kill()
        process.communicate(timeout=60)

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


_DASK = """
from distributed import LocalCluster
with LocalCluster(
    n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
) as cluster:
    print(cluster.scheduler_address, flush=True)
    input()
"""


@contextmanager
def dask_cluster() -> Iterator[dict[str, str]]:
    """Run a Dask scheduler with one worker; yield its address for that of the page."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield {"tcp://scheduler:8786": process.stdout.readline().strip()}
    finally:
        process.communicate("\n", timeout=60)
