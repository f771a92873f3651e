"""``bigan watch``: each file that arrives has one row, whatever happens to the process."""

from __future__ import annotations

import csv
import http.server
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bigan_cli.workflows.watching.arrivals import Arrivals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def rows_of(file):
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def wait_for(condition, process=None, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        assert process is None or process.running, process.err
        time.sleep(0.05)


@pytest.fixture
def watching(start_bigan, trained):
    """Run ``bigan watch``; at the end it is asked to stop, and must do so with exit code 0."""

    @contextmanager
    def run(folder, output, *words):
        command = ("watch", folder, "--output", output, "--run", trained, "--device", "cpu")
        process = start_bigan(*command, *words)
        process.wait_for("watching")  # from now on it hears signals
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0, process.err

    return run


@contextmanager
def receiving(failures=0):
    """Yield (URL, documents) of a server that takes posts, after it has refused some."""
    received, left = [], [failures]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            left[0] -= 1
            if left[0] >= 0:
                self.send_error(503)
                return
            received.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


def test_files_there_and_arriving_are_scored_as_score_does(
    bigan, watching, trained, pictures, tmp_path
):
    folder, output, flagged = tmp_path / "in", tmp_path / "out.csv", tmp_path / "flagged"
    (folder / "deep").mkdir(parents=True)
    images = sorted(pictures.glob("*.png"))[:40]
    for path in images[:10]:
        shutil.copy(path, folder)
    (folder / "notes.txt").write_text("no image")
    words = ("--fpr", "0.3", "--flagged", flagged, "--maps", tmp_path / "maps")
    with receiving(failures=1) as (url, posts):
        with watching(folder, output, *words, "--webhook", url) as process:
            wait_for(lambda: len(rows_of(output)) == 10, process)
            for path in images[10:30]:
                shutil.copy(path, folder)
            for path in images[30:]:  # as a careful writer does
                temporary = folder / "deep" / f".{path.name}.tmp"
                shutil.copy(path, temporary)
                temporary.rename(folder / "deep" / path.name)
            wait_for(lambda: len(rows_of(output)) == 40, process)
            rows = rows_of(output)
            odd = [row for row in rows if row["label"] != "normal"]
            assert odd
            wait_for(lambda: len(posts) == len(odd), process)
            with output.open() as stream:  # readable while it grows
                assert stream.readline().startswith("path,score,p_value,label,")
        assert "\x1b" not in process.err
    expected = tmp_path / "expected.csv"
    done = bigan(
        "score", folder, "--run", trained, "--device", "cpu", "--fpr", "0.3", "--output", expected
    )
    assert done.code == 0
    by_path = {row["path"]: row for row in rows_of(expected)}
    assert {row["path"]: row for row in rows} == by_path
    names = {Path(row["path"]).name for row in odd}
    assert {path.name for path in flagged.rglob("*.png")} == names
    assert {post["path"] for post in posts} == {row["path"] for row in odd}
    assert len(list((tmp_path / "maps").rglob("*.png"))) == 40


def drop(images, folder, count):
    """Write *count* files in three ways, some slowly."""
    chance = random.Random(0)
    for i in range(count):
        content, path = images[i % len(images)].read_bytes(), folder / f"{i:05d}.png"
        if i % 3 == 0:
            path.write_bytes(content)
        elif i % 3 == 1:
            temporary = folder / f".{i}.tmp"
            temporary.write_bytes(content)
            temporary.rename(path)
        else:
            with path.open("wb") as stream:
                stream.write(content[:50])
                stream.flush()
                time.sleep(0.02)
                stream.write(content[50:])
        time.sleep(chance.random() * 0.06)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("poll", [False, True])
def test_hundreds_of_files_dropped_while_it_is_killed_again_and_again_have_one_row_each(
    start_bigan, watching, trained, pictures, tmp_path, poll
):
    folder, output, flagged = tmp_path / "in", tmp_path / "out.csv", tmp_path / "flagged"
    folder.mkdir()
    count, kills = (100, 3) if poll else (300, 6)
    images = sorted(pictures.glob("*.png"))
    dropping = threading.Thread(target=drop, args=(images, folder, count), daemon=True)
    words = ("--flagged", flagged, "--move-flagged", *(("--poll",) if poll else ()))
    command = ("watch", folder, "--output", output, "--run", trained, "--device", "cpu", *words)
    dropping.start()
    for number in range(kills):
        before = len(rows_of(output))
        process = start_bigan(*command)
        wait_for(lambda: before < len(rows_of(output)) or before == count)  # noqa: B023
        time.sleep(random.Random(number).random())
        process.send_signal(signal.SIGKILL)
        process.end()
    with watching(folder, output, *words) as process:
        wait_for(lambda: len(rows_of(output)) >= count, process, seconds=600)
        time.sleep(1)
    dropping.join()
    rows = rows_of(output)
    assert len(rows) == len({row["path"] for row in rows}) == count
    assert not any(row["error"] for row in rows)
    odd = {Path(row["path"]).name for row in rows if row["label"] != "normal"}
    assert {path.name for path in flagged.iterdir()} == odd
    assert {path.name for path in folder.glob("*.png")} | odd == {
        Path(row["path"]).name for row in rows
    }


def test_rows_of_another_threshold_or_of_another_command_are_left_alone(
    bigan, trained, pictures, tmp_path
):
    output = tmp_path / "scores.csv"
    assert bigan("score", pictures, "--run", trained, "--output", output).code == 0
    before = output.read_bytes()
    words = ("watch", pictures, "--run", trained, "--device", "cpu", "--output", output, "--poll")
    done = bigan(*words)
    assert done.code == 2
    assert "not written by 'bigan watch'" in done.err
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{tmp}/none", "--output", "{tmp}/a.csv"), "no such folder"),
        (("{tmp}", "--output", "{tmp}/a.txt"), "neither a .csv nor a .jsonl"),
        (("{tmp}", "--output", "{tmp}/a.csv", "--move-flagged"), "only to a folder"),
        (("{tmp}", "--output", "{tmp}/a.csv", "--flagged", "{tmp}/flagged"), "inside the watched"),
        (("{tmp}", "--output", "{tmp}/a.csv", "--maps", "{tmp}/maps"), "inside the input"),
        (("{tmp}", "--output", "{tmp}/a.csv", "--webhook", "file:///etc/passwd"), "no address"),
    ],
)
def test_what_cannot_work_is_refused(bigan, trained, tmp_path, words, message):
    filled = [word.format(tmp=tmp_path) for word in words]
    done = bigan("watch", "--run", trained, "--device", "cpu", "--poll", *filled)
    assert done.code == 2, done.err
    assert message in done.err


def arrivals_of(folder, *, poll, settle=0.3):
    """Return (list that fills with what arrives, function that stops)."""
    stop, found = threading.Event(), []
    arrivals = Arrivals(folder, recursive=True, settle=settle, poll=poll, should_stop=stop.is_set)
    thread = threading.Thread(target=lambda: found.extend(_noted(arrivals, found)), daemon=True)
    thread.start()

    def end():
        stop.set()
        thread.join(10)

    return found, end


def _noted(arrivals, found):
    for path in arrivals:
        found.append(path.name)
    return ()


@pytest.mark.parametrize("poll", [False, True])
def test_a_file_arrives_once_it_is_complete(tmp_path, poll):
    (tmp_path / "there.png").write_bytes(b"image")
    found, end = arrivals_of(tmp_path, poll=poll, settle=0.8)
    wait_for(lambda: found == ["there.png"])
    with (tmp_path / "slow.png").open("wb") as stream:
        for _ in range(6):
            stream.write(b"some")
            stream.flush()
            time.sleep(0.25)
        assert "slow.png" not in found
    wait_for(lambda: "slow.png" in found)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "a.png").write_bytes(b"image")
    (tmp_path / "b.part").write_bytes(b"image")
    (tmp_path / "b.part").rename(tmp_path / "b.png")
    os.link(tmp_path / "there.png", tmp_path / "linked.png")
    wait_for(lambda: {"b.png", "linked.png"} <= set(found))
    end()
    assert sorted(found) == ["b.png", "linked.png", "slow.png", "there.png"]


def test_an_unreadable_file_arrives_again_only_when_it_has_changed(tmp_path):
    image, stop, found = tmp_path / "a.png", threading.Event(), []
    image.write_bytes(b"half")
    arrivals = Arrivals(tmp_path, recursive=True, settle=0, poll=True, should_stop=stop.is_set)

    def read():
        for path in arrivals:
            found.append(path.read_bytes())
            arrivals.finish(path, readable=path.read_bytes() == b"whole")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    wait_for(lambda: found)
    time.sleep(2.5)  # it is listed twice more
    assert found == [b"half"]
    image.write_bytes(b"whole")
    wait_for(lambda: len(found) == 2)
    image.write_bytes(b"changed again, and done already")
    time.sleep(2.5)
    stop.set()
    thread.join(10)
    assert found == [b"half", b"whole"]
