import os
import stat
import subprocess
import sys

import pytest

from bigan_cli.atomic import atomic_write, remove_stale_temporaries, write_text


def test_it_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "one\n")
    write_text(path, "två\n")
    assert path.read_bytes() == "två\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes"), atomic_write(path) as stream:
        stream.writelines([b"new", "not bytes"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_file_systems_that_refuse_chmod_are_written_to(tmp_path, monkeypatch):
    def refuse(path, *_args, **_options):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("os.chmod", refuse)
    write_text(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"


def test_long_names_leave_room_for_the_temporary_name(tmp_path):
    path = tmp_path / ("n" * 250)
    write_text(path, "x")
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old" * 1000)
    program = (
        "import sys, time; from pathlib import Path; from bigan_cli.atomic import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as s:\n"
        "    s.write(b'new'); s.flush(); print('writing', flush=True); time.sleep(60)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout.readline() == "writing\n"
        foreign = tmp_path / ".file.00000000-1-00000000.tmp"
        foreign.touch()
        (temporary,) = set(tmp_path.glob(".*.tmp")) - {foreign}
        with atomic_write(path) as own:
            own.write(b"old" * 1000)
            remove_stale_temporaries(tmp_path)
        assert temporary.exists()  # its process is running
        writer.kill()
    assert path.read_bytes() == b"old" * 1000
    remove_stale_temporaries(tmp_path)
    assert set(tmp_path.iterdir()) == {path, foreign}
