"""``bigan score --output --resume``: a run that was stopped goes on where it was."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.atomic import _MACHINE
from bigan_cli.storage.completed_inputs import CompletedInputs, _digest
from tests.forked_process import ForkedProcess

# A shell starts what runs in its background deaf to SIGINT, and that is inherited.
HEARING = """
import signal, sys
from bigan_cli.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""


@pytest.fixture
def score(bigan, trained):
    """Run ``bigan score`` on the trained run, on CPU."""
    return lambda *words: bigan("score", "--run", trained, "--device", "cpu", *words)


@pytest.fixture
def whole(score, pictures, tmp_path):
    """Return what a run that was not stopped writes, as (CSV file, JSON lines file)."""
    files = tmp_path / "whole.csv", tmp_path / "whole.jsonl"
    for file in files:
        assert score(pictures, "--output", file).code == 0
    return files


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def scoring(trained, tmp_path_factory):
    """Start ``bigan score -`` and yield (process, its standard input), which it waits for."""

    @contextmanager
    def run(output):
        folder = tmp_path_factory.mktemp("scoring")
        os.mkfifo(folder / "stdin")
        words = ("score", "-", "--run", trained, "--device", "cpu", "--output", output)
        process = ForkedProcess(words, folder, stdin=folder / "stdin")
        with (folder / "stdin").open("w", encoding="utf-8") as stdin:
            yield process, stdin

    return run


@pytest.fixture(scope="module")
def stop_after(scoring):
    """Start a run whose list of inputs stays open, and kill it when *rows* are on disk."""

    def run(inputs, output, rows):
        partial = output.with_name(output.name + ".partial")
        with scoring(output) as (process, stdin):
            stdin.write("".join(f"{path}\n" for path in inputs))
            stdin.flush()
            limit = time.monotonic() + 60
            while not partial.is_file() or partial.read_bytes().count(b"\n") < rows + 1:
                assert process.running, process.err
                assert time.monotonic() < limit
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert process.end() == -signal.SIGKILL
        return partial

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", [0, 1])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    score, stop_after, pictures, whole, tmp_path, kind
):
    output = tmp_path / f"scores{whole[kind].suffix}"
    inputs = [row["path"] for row in rows_of(whole[0])]
    partial = stop_after(inputs[:70], output, 70)
    assert not output.exists()
    with partial.open("ab") as file:  # the kill came in the middle of a line
        file.write(whole[kind].read_bytes().split(b"\n")[80][:25])
    done = score(pictures, "--output", output, "--resume")
    assert done.code == 0
    assert "resuming after 70 rows" in done.err
    assert "scored 150 (70 before), skipped 0" in done.err
    assert output.read_bytes() == whole[kind].read_bytes()
    assert not partial.exists()


@given(st.lists(st.text(max_size=20), max_size=300))
@settings(max_examples=30)
def test_every_path_is_known_again_once_for_each_of_its_rows(paths):
    earlier = CompletedInputs(b"".join(map(_digest, paths)))
    assert all(earlier.claim(path) for path in paths)
    assert not any(earlier.claim(path) for path in paths)


def test_without_resume_the_rows_of_a_stopped_run_are_not_lost(score, pictures, partial):
    output = partial.with_suffix("")
    before = partial.read_bytes()
    done = score(pictures, "--output", output)
    assert done.code == 2
    assert f"error: {partial} holds the rows of a run that was stopped" in done.err
    assert "resume" in done.err
    assert partial.read_bytes() == before
    assert not output.exists()


@pytest.fixture(scope="module")
def stopped(stop_after, pictures, tmp_path_factory):
    """Return a partial file with the rows of the first 40 pictures; to be read only."""
    output = tmp_path_factory.mktemp("stopped") / "scores.csv"
    return stop_after(sorted(pictures.glob("*.png"))[:40], output, 40)


@pytest.fixture
def partial(stopped, tmp_path):
    """Return a copy of that file, to be resumed."""
    return Path(shutil.copy(stopped, tmp_path))


def test_another_model_or_threshold_is_told(score, pictures, partial):
    before = partial.read_bytes()
    output = partial.with_suffix("")
    for words, said in [
        (["--checkpoint", "0"], "comes from another model"),
        (["--fpr", "0.5"], "was labelled with the threshold"),
    ]:
        done = score(pictures, "--output", output, "--resume", *words)
        assert done.code == 2
        assert done.err.count("error:") == 1
        assert said in done.err
        assert "delete it to start over" in done.err
        assert partial.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: "path,score\n" + text.partition("\n")[2], "not an unfinished output"),
        (lambda text: text.replace(",normal,", ",", 1), "damaged before its end"),
    ],
)
def test_a_file_that_holds_something_else_is_left_alone(score, pictures, partial, damage, said):
    text = damage(partial.read_text(encoding="utf-8"))
    partial.write_text(text, encoding="utf-8")
    done = score(pictures, "--output", partial.with_suffix(""), "--resume")
    assert done.code == 2
    assert done.err.count("error:") == 1
    assert said in done.err
    assert partial.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_what_could_not_be_read_is_tried_again(score, stop_after, pictures, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(pictures / "more", folder)
    names = sorted(folder.iterdir())
    shutil.copy(names[2], tmp_path / "good.png")
    names[2].write_text("not yet a picture")
    output = tmp_path / "scores.csv"
    stop_after(names[:6], output, 6)
    shutil.copy(tmp_path / "good.png", names[2])
    done = score(folder, "--output", output, "--resume")
    assert done.code == 0
    rows = rows_of(output)
    assert sorted(row["path"] for row in rows) == [str(name) for name in names]
    assert not any(row["error"] for row in rows)
    assert [row["path"] for row in rows[:6]] == [str(names[i]) for i in (0, 1, 3, 4, 5, 2)]


def test_names_like_formulas_are_written_as_paths_and_known_again(
    score, stop_after, pictures, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.png", "@x.png", "+1.png", "plain.png"]
    for name in names:
        shutil.copy(min(pictures.glob("*.png")), name)
    output = stop_after([f"./{name}" for name in names], Path("scores.csv"), 4)
    with output.open(encoding="utf-8", newline="") as file:
        file.readline()
        written = [row["path"] for row in csv.DictReader(file)]
    assert written == ["./=1+1.png", "./@x.png", "./+1.png", "plain.png"]
    assert all(Path(path).exists() for path in written)
    stale = tmp_path / f".scores.csv.{_MACHINE}-999999999-01234567.tmp"
    stale.touch()
    done = score(*(f"./{name}" for name in names), "--output", "scores.csv", "--resume")
    assert done.code == 0
    assert "scored 4 (4 before)" in done.err
    assert [row["path"] for row in rows_of(Path("scores.csv"))] == written
    assert not stale.exists()


def test_rows_of_inputs_that_are_not_named_are_told(score, pictures, partial):
    output = partial.with_suffix("")
    names = sorted(pictures.glob("*.png"))
    there = len(partial.read_text(encoding="utf-8").splitlines()) - 2  # a stamp, and the headings
    done = score(*names[10:50], "--output", output, "--resume")
    assert done.code == 0
    assert f"warning: 10 rows of {output} are of inputs that were not given now" in done.err
    assert len(rows_of(output)) == there + 10


def test_resuming_what_is_finished_says_that_it_is_replaced(score, pictures, tmp_path):
    output = tmp_path / "scores.csv"
    (image, *_) = sorted(pictures.glob("*.png"))
    assert "will be replaced" not in score(image, "--output", output, "--resume").err
    assert f"{output} will be replaced" in score(image, "--output", output, "--resume").err


def test_an_input_given_twice_has_two_rows_and_new_ones_are_scored(score, pictures, partial):
    output = partial.with_suffix("")
    names = sorted(pictures.glob("*.png"))[:42]
    done = score(names[0], names[0], *names, "--output", output, "--resume", "--json")
    assert done.code == 0
    added = [json.loads(line) for line in done.lines]
    assert [line["path"] for line in added] == [str(names[i]) for i in (0, 0, 40, 41)]
    assert added[0]["score"] is not None
    paths = [row["path"] for row in rows_of(output)]
    assert paths == [str(name) for name in names[:40]] + [line["path"] for line in added]


def test_anomalies_of_before_count(score, partial):
    output = partial.with_suffix("")
    first = [row["path"] for row in rows_of_partial(partial)]
    assert any(row["label"] == "anomaly" for row in rows_of_partial(partial))
    done = score(*first, "--output", output, "--resume", "--fail-on-anomaly")
    assert done.code == 3
    assert "scored 40 (40 before), skipped 0" in done.err
    assert len(rows_of(output)) == 40


def rows_of_partial(partial):
    with partial.open(encoding="utf-8", newline="") as file:
        file.readline()
        return list(csv.DictReader(file))


def test_nothing_to_resume_starts_with_the_first(score, pictures, whole, tmp_path):
    output = tmp_path / "new.csv"
    done = score(pictures, "--output", output, "--resume")
    assert done.code == 0
    assert "to resume: starting with the first input" in done.err
    assert output.read_bytes() == whole[0].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--resume",), ("--sort",)])
def test_two_at_a_time_do_not_write_into_each_other(score, scoring, pictures, tmp_path, more):
    output = tmp_path / "out.csv"
    with scoring(output) as (first, stdin):
        partial = output.with_name("out.csv.partial")
        while not partial.exists():
            assert first.running, first.err
            time.sleep(0.05)
        second = score(pictures, "--output", output, *more)
        assert second.code == 2
        assert f"error: another process is writing {output}\n" in second.err
        files = sorted(pictures.rglob("*.png"))
        stdin.write("".join(f"{file}\n" for file in files))
    assert first.end() == 0, first.err
    assert [row["path"] for row in rows_of(output)] == [str(file) for file in files]
    assert list(tmp_path.glob("*out.csv*")) == [output]


@pytest.mark.parametrize("sent", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_an_interrupted_run_says_how_to_go_on(trained, pictures, tmp_path, sent):
    if sys.platform == "win32":
        pytest.skip("no such signals to send there")
    output = tmp_path / "scores.csv"
    words = ["score", "-", "--run", str(trained), "--device", "cpu", "--output", str(output)]
    partial = Path(f"{output}.partial")
    with subprocess.Popen(
        [sys.executable, "-c", HEARING, *words],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdin.write(f"{min(pictures.glob('*.png'))}\n")
        process.stdin.flush()
        limit = time.monotonic() + 60
        while not partial.is_file() or partial.read_bytes().count(b"\n") < 3:
            assert time.monotonic() < limit
            time.sleep(0.02)
        os.kill(process.pid, getattr(signal, sent))
        err = process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert f"{partial} holds the rows so far; --resume continues it" in err
    assert "error: interrupted" in err
    assert "Traceback" not in err
    assert len(rows_of_partial(partial)) == 1


@pytest.mark.parametrize("words", [(), ("--sort",)])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_scored(score, tmp_path, words):
    (tmp_path / "image.png").write_text("not a picture")
    failed = score(tmp_path, "--output", tmp_path / "image.png" / "out.csv", *words)
    assert failed.code == 1
    assert failed.err.startswith(f"error: {tmp_path / 'image.png'}")
    assert "skipped" not in failed.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume"], "no output to resume"),
        (
            ["--resume", "--sort", "--output", "x.csv"],
            "an output that is sorted or labelled as a whole cannot be resumed",
        ),
    ],
)
def test_what_does_not_go_together_is_told(score, pictures, words, said):
    done = score(pictures, *words)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("error:") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_in_place_of_the_rows_is_in_the_way(score, pictures, tmp_path, kind):
    output = tmp_path / "scores.csv"
    partial = tmp_path / "scores.csv.partial"
    if kind == "pipe":
        os.mkfifo(partial)
    elif kind == "folder":
        partial.mkdir()
    else:
        partial.symlink_to(tmp_path / "nowhere")
    outcome = score(pictures, "--output", output)
    assert outcome.code == 2
    assert f"{partial} is in the way: it is not a regular file" in outcome.err
    assert os.path.lexists(partial)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_not_replaced(score, pictures, tmp_path):
    os.mkfifo(tmp_path / "scores.csv")
    outcome = score(pictures, "--output", tmp_path / "scores.csv")
    assert "scores.csv is not a regular file" in outcome.err
    assert (tmp_path / "scores.csv").is_fifo()
