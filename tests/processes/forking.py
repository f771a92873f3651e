"""Runs a function, or a ``bigan`` command line, in several processes as torchrun starts them.

They are forked after everything is imported, which takes several times as long as their work.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from torch.distributed import TCPStore

# The launcher has the key-value store, so it outlives every process.
_OF_TORCHRUN = {
    "MASTER_ADDR": "127.0.0.1",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "0",
}
_stores: list[TCPStore] = []


def fork(count: int, function: Callable[[int], int]) -> list[int]:
    """Start *count* processes, each of which ends with the exit code ``function(rank)``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(count):
        process = os.fork()
        if process == 0:
            places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in places.items()})
            os.environ.update(_OF_TORCHRUN)
            code = 70
            try:
                code = function(rank)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        started.append(process)
    # After the forks, which copy no threads.
    _stores.append(TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False))
    return started


def wait(processes: list[int]) -> list[int]:
    """Return the exit codes of *processes*; that of a killed one is the signal's, negative."""
    return [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in processes]


def run_bigan(words: list[str]) -> int:
    """Run a command line in several processes.

    Their output goes to OUT.0, OUT.1 and so on. Prints the process numbers, then the exit codes,
    each as one JSON line.

    Args:
        words: The number of processes, OUT, and the command line.
    """
    from bigan_cli.cli.main import main as bigan

    count, out, *command = words

    def run(rank: int) -> int:
        with Path(f"{out}.{rank}").open("wb", buffering=0) as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        return bigan(command)

    processes = fork(int(count), run)
    _say(processes)
    _say(wait(processes))
    return 0


def _say(numbers: list[int]) -> None:
    sys.stdout.write(json.dumps(numbers) + "\n")
    sys.stdout.flush()
