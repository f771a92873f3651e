"""``bigan`` in processes that are forked from one which has imported PyTorch.

They are real processes, for real signals. A new interpreter takes several seconds to import what a
training needs, which is more than most of the trainings here take; tests of the start itself run
``python -m bigan_cli``.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

# What training, scoring and serving import.
_MODULES = (
    *("torch._dynamo", "torchvision", "sklearn.datasets", "bigan_cli.cli.main"),
    *("bigan_cli.cli.live_training", "bigan_cli.workflows.train", "bigan_cli.report.figures"),
    *("bigan_cli.workflows.score", "bigan_cli.workflows.watching.watch"),
    "bigan_cli.workflows.serving.serve",
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_MODULES))


class ForkedProcess:
    """A process that runs one command line of ``bigan``.

    Args:
        words: The command line.
        folder: Where its output is kept.
        signal_at: Module, dotted name of a function in it, a number n and a signal, which the
            process sends itself right before the n-th call of that function.
        stdin: What to read standard input from, such as a named pipe.
        constants: Module and name of constants, and the values that they have in this process.
        call: What to call with the command line instead of ``bigan``, for the exit code.
    """

    def __init__(
        self,
        words: tuple[object, ...],
        folder: Path,
        signal_at: tuple[str, str, int, signal.Signals] | None = None,
        stdin: Path = Path(os.devnull),
        constants: Mapping[tuple[str, str], object] = MappingProxyType({}),
        call: Callable[[list[str]], int] | None = None,
    ) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._process = _context.Process(
            target=_run,
            args=(
                list(map(str, words)),
                (stdin, self._out, self._err),
                dict(os.environ),
                signal_at,
                dict(constants),
                call or _bigan,
            ),
        )
        self._process.start()

    @property
    def out(self) -> str:
        """What it has printed until now."""
        return self._out.read_text(encoding="utf-8") if self._out.exists() else ""

    @property
    def err(self) -> str:
        """What it has printed to standard error until now."""
        return self._err.read_text(encoding="utf-8") if self._err.exists() else ""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def send_signal(self, sent: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, sent)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait until it has printed *text* to standard error."""
        limit = time.monotonic() + seconds
        while text not in self.err:
            assert self.running, self.err
            assert time.monotonic() < limit, self.err
            time.sleep(0.01)

    def end(self, seconds: float = 120) -> int:
        """Wait until it ends, and return its exit code: for a signal, its number, negative."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, self.err
        return self._process.exitcode


def _run(
    words: list[str],
    streams: tuple[Path, Path, Path],
    environment: dict[str, str],
    signal_at: tuple[str, str, int, signal.Signals] | None,
    constants: dict[tuple[str, str], object],
    call: Callable[[list[str]], int],
) -> None:
    for number, path in enumerate(streams):
        with path.open("wb" if number else "rb", buffering=0) as file:
            os.dup2(file.fileno(), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  multiprocessing closed it
    os.environ.clear()
    os.environ.update(environment)
    for (module, name), value in constants.items():
        setattr(importlib.import_module(module), name, value)
    if signal_at is not None:
        _send_at(*signal_at)
    sys.exit(call(words))


def _bigan(words: list[str]) -> int:
    from bigan_cli.cli.main import main

    sys.argv = ["bigan", *words]
    return main()


def _send_at(module: str, path: str, number: int, sent: signal.Signals) -> None:
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    function, calls = getattr(owner, name), 0

    @functools.wraps(function)
    def call(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), sent)
        return function(*args, **options)

    setattr(owner, name, call)
