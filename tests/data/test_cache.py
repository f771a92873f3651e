from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bigan_cli.contracts import ImageShape
from bigan_cli.data import cache
from bigan_cli.data.cache import cached, files_key

SHAPE = (3, 1, 8, 8)


def fill(out: np.ndarray) -> None:
    out[:] = np.arange(out.size, dtype=np.uint8).reshape(out.shape)


def never(out: np.ndarray) -> None:
    raise AssertionError("made again")


def test_array_is_made_once(tmp_path: Path) -> None:
    made = cached("key", SHAPE, fill, tmp_path)
    again = cached("key", SHAPE, never, tmp_path)
    assert isinstance(again, np.memmap)
    assert np.array_equal(made, again)
    assert again[0, 0, 1, 0] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["key.npy"]


def test_array_from_the_cache_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        cached("key", SHAPE, fill, tmp_path)[0] = 0


@pytest.mark.parametrize("content", [b"", b"junk", b"\x93NUMPY\x01\x00"])
def test_damaged_file_is_made_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.npy").write_bytes(content)
    assert cached("key", SHAPE, fill, tmp_path)[0, 0, 1, 0] == 8


def test_file_that_lost_its_end_is_made_again(tmp_path: Path) -> None:
    cached("key", SHAPE, fill, tmp_path)
    path = tmp_path / "key.npy"
    path.write_bytes(path.read_bytes()[:-10])
    assert cached("key", SHAPE, fill, tmp_path)[2, 0, 7, 7] == 191


@pytest.mark.parametrize("place", [0, 60, 130, 200, -1])
def test_file_with_a_flipped_bit_is_made_again(tmp_path: Path, place: int) -> None:
    whole = cached("key", SHAPE, fill, tmp_path).copy()
    path = tmp_path / "key.npy"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert np.array_equal(cached("key", SHAPE, fill, tmp_path), whole)
    assert np.array_equal(cached("key", SHAPE, never, tmp_path), whole)


def test_file_of_another_shape_is_made_again(tmp_path: Path) -> None:
    cached("key", (5, 1, 8, 8), fill, tmp_path)
    assert cached("key", SHAPE, fill, tmp_path).shape == SHAPE


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        cached("key", SHAPE, never, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_key_follows_content_shape_and_order(tmp_path: Path) -> None:
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    one.write_bytes(b"abc")
    two.write_bytes(b"abd")
    grey = ImageShape(1, 8, 8)
    key = files_key([one, two], grey)
    assert files_key([one, two], grey) == key
    others = [
        files_key([two, one], grey),
        files_key([one], grey),
        files_key([one, two], ImageShape(3, 8, 8)),
    ]
    two.write_bytes(b"abcd")
    others.append(files_key([one, two], grey))
    assert len({key, *others}) == 5
    with pytest.raises(OSError, match=r"3\.png"):
        files_key([tmp_path / "3.png"], grey)


def test_other_content_of_the_same_size_and_time_has_another_key(tmp_path: Path) -> None:
    path, keys = tmp_path / "1.bmp", []
    for content in (b"abc", b"abd"):
        path.write_bytes(content)
        os.utime(path, (1577836800, 1577836800))
        keys.append(files_key([path], ImageShape(1, 8, 8)))
    assert keys[0] != keys[1]


def test_path_and_time_do_not_count(tmp_path: Path) -> None:
    before, after = tmp_path / "1.png", tmp_path / "2.png"
    before.write_bytes(b"abc")
    key = files_key([before], ImageShape(1, 8, 8))
    before.rename(after)
    os.utime(after, (1, 1))
    assert files_key([after], ImageShape(1, 8, 8)) == key


def test_a_named_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(OSError, match="not a regular file"):
        files_key([tmp_path / "1.png"], ImageShape(1, 8, 8))


def test_key_follows_the_preprocessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_key([], ImageShape(1, 8, 8))
    monkeypatch.setitem(cache.PREPROCESSING, "version", 99)
    assert files_key([], ImageShape(1, 8, 8)) != before


def test_files_used_longest_ago_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate("cba"):
        cached(name, SHAPE, fill, tmp_path)
        os.utime(tmp_path / f"{name}.npy", (1000 - age, 1000 - age))
    cached("a", SHAPE, never, tmp_path)  # used now
    monkeypatch.setattr(cache, "LIMIT_BYTES", 3 * (tmp_path / "a.npy").stat().st_size)
    cached("new", SHAPE, fill, tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c", "new"]


def test_what_killed_processes_left_is_cleared_but_not_what_runs(tmp_path: Path) -> None:
    old, new = tmp_path / ".old.tmp", tmp_path / ".new.tmp"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 10**6,) * 2)
    cached("key", SHAPE, fill, tmp_path)
    assert not old.exists()
    assert new.exists()


MAKE = """
import sys
from pathlib import Path
from bigan_cli.data.cache import cached

print("ready", flush=True)
sys.stdin.readline()
array = cached("key", (300, 3, 64, 64), lambda out: out.fill(7), Path(sys.argv[1]))
print(array.shape, int(array.min()), int(array.max()))
"""


def test_two_processes_at_once_both_succeed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert out == "(300, 3, 64, 64) 7 7\n"
    assert [path.name for path in tmp_path.iterdir()] == ["key.npy"]
