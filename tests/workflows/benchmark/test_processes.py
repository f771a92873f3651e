"""The process pool, with functions that need no networks."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time

import pytest

from bigan_cli.workflows.benchmark.processes import ProcessPool, Task, threads_per_job

# In a file of its own, since the processes have to import it.
FUNCTIONS = """
import os, signal, sys, time
from pathlib import Path
from bigan_cli.errors import DataError

def double(number, worker):
    worker.callbacks.note(f"doubling {number}")
    print("printed")
    return 2 * number, os.environ["OMP_NUM_THREADS"]

def fail(worker):
    raise DataError("no images here", "look elsewhere")

def break_(worker):
    return {}["missing"]

def crash(number, worker):
    os.kill(os.getpid(), number)
    time.sleep(60)

def save_on_stop(path, worker):
    path.write_text(str(os.getpid()))
    with worker.stopping_later():
        while not worker.callbacks.should_stop():
            time.sleep(0.01)
        path.write_text("saved")

def sleep(path, worker):
    path.write_text(str(os.getpid()))
    time.sleep(60)
"""

PARENT = """
import sys
from pathlib import Path
from bigan_cli.workflows.benchmark.processes import ProcessPool, Task
import pool_functions

if __name__ == "__main__":
    pid, log = map(Path, sys.argv[1:])
    with ProcessPool(1) as pool:
        pool.submit(Task("a", pool_functions.sleep, (pid,), log))
        list(pool.outcomes(lambda: False))
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    (tmp_path / "pool_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pool_functions", raising=False)
    return importlib.import_module("pool_functions")


def wait_for_text(path):
    """Return the text of the file *path* once it has one."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path.read_text()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
            return stream.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_each_task_ends_by_itself(functions, tmp_path):
    tasks = {
        "good": (functions.double, (3,)),
        "failed": (functions.fail, ()),
        "defect": (functions.break_, ()),
        "killed": (functions.crash, (signal.SIGKILL,)),
        "segfault": (functions.crash, (signal.SIGSEGV,)),
    }
    with ProcessPool(2) as pool:
        for name, (function, arguments) in tasks.items():
            pool.submit(Task(name, function, arguments, tmp_path / f"{name}.log"))
        replies = {o.task.name: o.reply for o in pool.outcomes(lambda: False)}
    assert replies["good"].value == (6, str(pool.threads))
    log = (tmp_path / "good.log").read_text()
    assert "INFO doubling 3" in log
    assert "printed" in log
    assert replies["failed"].error == "no images here"
    assert "look elsewhere" in (tmp_path / "failed.log").read_text()
    assert replies["defect"].error == "internal error: KeyError: 'missing'"
    assert "Traceback" in (tmp_path / "defect.log").read_text()
    assert replies["killed"].error == "the process was ended by SIGKILL; out of memory?"
    assert replies["segfault"].error == "the process was ended by SIGSEGV"
    assert "Segmentation fault" in (tmp_path / "segfault.log").read_text()  # with its stack


def test_a_stop_lets_running_tasks_save_and_starts_no_more(functions, tmp_path):
    saving, sleeping, queued = (tmp_path / name for name in ("saving", "sleeping", "queued"))

    def both_run():
        return all(path.exists() and path.read_text() for path in (saving, sleeping))

    started = time.monotonic()
    with ProcessPool(2) as pool:
        pool.submit(Task("saving", functions.save_on_stop, (saving,), tmp_path / "log"))
        pool.submit(Task("sleeping", functions.sleep, (sleeping,), tmp_path / "log"))
        pool.submit(Task("queued", functions.sleep, (queued,), tmp_path / "log"))
        outcomes = list(pool.outcomes(both_run))
    assert {o.task.name for o in outcomes} == {"saving", "sleeping"}
    assert all(o.reply.stopped for o in outcomes)
    assert saving.read_text() == "saved"
    assert time.monotonic() - started < 50  # the sleep was interrupted
    assert not queued.exists()


def test_a_second_signal_kills_what_runs(functions, tmp_path):
    running = tmp_path / "running"

    def interrupted():
        if running.exists():
            raise KeyboardInterrupt
        return False

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ProcessPool(1) as pool:  # noqa: PT012  its end is tested
        pool.submit(Task("sleeping", functions.sleep, (running,), tmp_path / "log"))
        list(pool.outcomes(interrupted))
    assert time.monotonic() - started < 50
    assert not is_alive(wait_for_text(running))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.usefixtures("functions")
def test_no_process_outlives_its_killed_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py", tmp_path / "pid", tmp_path / "log"]
    )
    pid = wait_for_text(tmp_path / "pid")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="not Linux")
def test_jobs_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_per_job(jobs) for jobs in (1, 3, 20)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_per_job(2) == 2
