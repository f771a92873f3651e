"""The child's side of the process pool: logging, signals, and the connection to the parent.

Imports neither torch nor numpy: both read ``OMP_NUM_THREADS`` when they are imported.
"""

from __future__ import annotations

import _thread
import faulthandler
import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from bigan_cli.atomic import refuse_link
from bigan_cli.errors import BiganError, first_line, is_out_of_memory
from bigan_cli.workflows.callbacks import Callbacks

_LOGGER = logging.getLogger("bigan_cli")
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that stop a benchmark; a child starts with them blocked."""


@dataclass(frozen=True)
class Reply:
    """What a child sends when its function has ended.

    Attributes:
        value: What the function returned; None unless it finished.
        error: Why it failed, in one line; None unless it failed.
        stopped: Whether it was stopped before its end.
    """

    value: object = None
    error: str | None = None
    stopped: bool = False


class Worker:
    """What a function in a child process has to do with its parent.

    The parent asks the child to stop by sending a message. The child's main thread is then
    interrupted with KeyboardInterrupt, except within :meth:`stopping_later`. If the connection
    breaks, the parent is dead, and the child ends at once.

    Attributes:
        callbacks: Write to the child's log; ``should_stop`` is True once the parent asked to stop.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stop = threading.Event()
        self._interruptible = True
        self.callbacks = Callbacks(
            note=_LOGGER.info,
            detail=_LOGGER.debug,
            warn=_LOGGER.warning,
            should_stop=self._stop.is_set,
        )

    @contextmanager
    def stopping_later(self) -> Iterator[None]:
        """Leave it to the code within to react to ``should_stop``.

        Raises:
            KeyboardInterrupt: At the end, if the parent asked to stop meanwhile.
        """
        self._interruptible = False
        yield
        self._interruptible = True
        self._interrupt_if_stopped()

    def listen(self) -> None:
        """Receive the parent's messages; to be run in a thread."""
        try:
            while True:
                self._connection.recv()
                self._stop.set()
                if sys.platform == "win32":
                    _thread.interrupt_main()
                else:  # a real signal also interrupts a system call
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        except (EOFError, OSError):
            os._exit(1)  # the parent is dead: nobody would stop this process any more

    def handle_signals(self) -> None:
        """Install the signal handlers, and unblock the signals.

        Ctrl-C and a closed terminal reach all processes of the terminal, but only the parent
        decides what they mean. SIGTERM stops this process.
        """
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._stop.set()
        self._interrupt_if_stopped()

    def _interrupt_if_stopped(self) -> None:
        if self._stop.is_set() and self._interruptible:
            self._interruptible = False  # once is enough: clean-up is not interrupted again
            raise KeyboardInterrupt


def serve(payload: bytes, connection: Connection, log: Path, threads: int) -> None:
    """Run one function in this process, and send its :class:`Reply`.

    Args:
        payload: The pickled (function, arguments); the function also receives the
            :class:`Worker`, as its last argument.
        connection: To the parent.
        log: The file that receives log records and all other output.
        threads: Number of CPU threads, as ``OMP_NUM_THREADS``.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    _write_output_to(log)
    worker = Worker(connection)
    threading.Thread(target=worker.listen, daemon=True).start()
    try:
        worker.handle_signals()
        # Unpickled only now, since this imports modules that read the environment.
        function, arguments = pickle.loads(payload)  # noqa: S301  from our own parent
        reply = Reply(function(*arguments, worker))
    except KeyboardInterrupt:
        _LOGGER.info("stopped")
        reply = Reply(stopped=True)
    except Exception as error:  # noqa: BLE001  reported to the parent
        reply = Reply(error=_reason(error))
    connection.send(reply)


def _write_output_to(log: Path) -> None:
    """Send log records, standard output and standard error to the file *log*."""
    refuse_link(log)
    with log.open("a", encoding="utf-8") as stream:
        for standard in (sys.stdout, sys.stderr):
            # The file descriptors, so that the output of C libraries is in the log too.
            os.dup2(stream.fileno(), standard.fileno())
    faulthandler.enable()
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def _reason(error: Exception) -> str:
    """Log *error*, and return it in one line."""
    if isinstance(error, BiganError):
        _LOGGER.error("%s%s", error.message, f" ({error.hint})" if error.hint else "")
        return error.message
    _LOGGER.error("failed", exc_info=error)
    if is_out_of_memory(error):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        where = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    return f"internal error: {type(error).__name__}: {first_line(error)}"
