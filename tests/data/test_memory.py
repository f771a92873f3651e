"""How much memory may be used: the least of what the system says."""

import resource
import subprocess
import sys

import pytest

from bigan_cli.data import memory

GIB = 2**30
ASK = "from bigan_cli.data import memory; print(memory.memory_bytes(), memory.resident_bytes())"


def ask(limit):
    def lower():
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, check=True, preexec_fn=lower
    )
    return tuple(map(int, done.stdout.split()))


def test_limit_of_the_process_counts():
    allowed, resident = ask(GIB)
    assert allowed == GIB
    assert resident == int(0.2 * GIB)


@pytest.mark.parametrize(
    ("text", "limit"), [("max\n", 0), ("1073741824\n", GIB), ("", 0), (None, 0)]
)
@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/\n", "memory.max"),
        ("0::/user.slice/run-1.scope\n", "user.slice/run-1.scope/memory.max"),
        ("0::/user.slice/run-1.scope\n", "user.slice/memory.max"),
        ("4:cpu,memory:/jobs/7\n1:name=x:/\n", "memory/jobs/7/memory.limit_in_bytes"),
        ("4:memory:/of/the/host\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_limits_of_the_control_groups_count(text, limit, own, file, tmp_path, monkeypatch):
    groups = tmp_path / "cgroup"
    (tmp_path / "own").write_text(own)
    if text is not None:
        (groups / file).parent.mkdir(parents=True)
        (groups / file).write_text(text)
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_GROUPS", groups)
    machine = memory._physical_bytes()
    assert memory.memory_bytes() == min(limit or machine, machine)


def test_a_large_machine_still_maps_very_large_sets(monkeypatch):
    monkeypatch.setattr(memory, "memory_bytes", lambda: 1000 * GIB)
    assert memory.resident_bytes() == 2 * GIB
