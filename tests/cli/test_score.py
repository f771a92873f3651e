"""``bigan score`` as a user meets it: real images, a real run, real streams."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.cli.terminal import Terminal
from bigan_cli.scoring.ensemble_member import EnsembleMember

COMPONENTS = {"reconstruction", "discriminator", "distortion"}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def json_rows(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.fixture
def score(bigan, trained):
    """Run ``bigan score`` on the trained run, on CPU."""
    return lambda *words: bigan("score", "--run", trained, "--device", "cpu", *words)


@pytest.fixture
def listed(score, monkeypatch):
    """Run ``bigan score -`` with a list on standard input."""

    def run(text, *words):
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        with os.fdopen(reading) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            return score("-", *words)

    return run


@pytest.fixture
def damaged(pictures, tmp_path):
    """Return a folder of ten pictures, of which one is cut short and one is no picture."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in sorted(pictures.glob("*.png"))[:10]:
        shutil.copy(path, folder)
    paths = sorted(folder.iterdir())
    paths[3].write_bytes(paths[3].read_bytes()[:80])
    paths[6].write_text("not a picture")
    return folder


# Rows


def test_a_folder_gives_one_row_for_each_image_in_order(score, pictures):
    done = score(pictures)
    assert done.code == 0
    rows = rows_of(done.out)
    assert len(rows) == 150
    assert {row["path"] for row in rows} == {str(path) for path in pictures.rglob("*.png")}
    top = [row["path"] for row in rows if Path(row["path"]).parent == pictures]
    assert top == sorted(top)
    columns = list(rows[0])
    assert columns[:4] == ["path", "score", "p_value", "label"]
    assert columns[-1] == "error"
    assert set(columns[4:-1]) >= COMPONENTS
    for row in rows:
        assert 0 < float(row["p_value"]) <= 1
        assert row["label"] == ("anomaly" if float(row["p_value"]) <= 0.05 else "normal")
        assert row["error"] == ""
    assert "scored 150, skipped 0, anomalies" in done.err


def test_a_score_does_not_depend_on_the_company_or_the_order(score, listed, pictures):
    together = {row["path"]: row for row in rows_of(score(pictures).out)}
    some = sorted(together)[10:13]
    assert rows_of(score(some[0]).out) == [together[some[0]]]
    turned = listed("\n".join(reversed(some)))
    assert turned.code == 0
    assert rows_of(turned.out) == [together[path] for path in reversed(some)]


def test_json_lines_say_the_same_as_csv(score, pictures):
    table = rows_of(score(pictures, "--no-recursive").out)
    lines = json_rows(score(pictures, "--no-recursive", "--json").out)
    assert len(lines) == len(table) == 100
    for line, row in zip(lines, table, strict=True):
        assert line["path"] == row["path"]
        assert line["score"] == float(row["score"])
        assert line["p_value"] == float(row["p_value"])
        assert line["label"] == row["label"]
        assert line["components"] == {n: float(row[n]) for n in line["components"]}
        assert set(line["components"]) >= COMPONENTS
        assert line["error"] is None


def test_the_most_anomalous_first(score, pictures, damaged):
    rows = rows_of(score(pictures, damaged, "--sort").out)
    values = [float(row["score"]) for row in rows if row["score"]]
    assert values == sorted(values, reverse=True)
    assert [bool(row["error"]) for row in rows] == [False] * 158 + [True] * 2


# Damage


def test_unreadable_inputs_get_a_row_and_exit_code_4(score, damaged):
    done = score(damaged, damaged / "gone.png")
    assert done.code == 4
    rows = rows_of(done.out)
    assert len(rows) == 11
    bad = {Path(row["path"]).name: row for row in rows if row["error"]}
    assert len(bad) == 3
    assert bad["gone.png"]["error"] == "no such file"
    for row in bad.values():
        assert row["score"] == row["p_value"] == row["label"] == ""
    warned = [line for line in done.err.splitlines() if line.startswith("warning: skipped")]
    assert len(warned) == 3
    assert "scored 8, skipped 3" in done.err
    assert "error: 3 of 11 inputs could not be read" in done.err
    lines = json_rows(score(damaged, "--json").out)
    assert [line["score"] is None for line in lines] == [bool(line["error"]) for line in lines]


def test_the_others_score_as_if_nothing_had_happened(score, damaged, pictures):
    whole = {Path(row["path"]).name: row["score"] for row in rows_of(score(pictures).out)}
    for row in rows_of(score(damaged).out):
        if not row["error"]:
            assert row["score"] == whole[Path(row["path"]).name]


def test_strict_ends_at_the_first_and_leaves_no_file(score, damaged, tmp_path):
    output = tmp_path / "scores.csv"
    done = score(damaged, "--strict", "--output", output)
    assert done.code == 1
    assert done.err.count("error: cannot read") == 1
    assert not output.exists()
    assert list(tmp_path.glob(".scores*")) == []


def test_nothing_readable_at_all_is_a_failure(score, tmp_path):
    (tmp_path / "empty.png").touch()
    done = score(tmp_path / "empty.png")
    assert done.code == 1
    assert "error: the only input could not be read" in done.err
    assert rows_of(done.out)[0]["error"] == "empty file"


def test_many_unreadable_files_are_not_told_one_by_one(score, pictures, tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.png").write_text("x")
    done = score(tmp_path, min(pictures.glob("*.png")))
    assert done.code == 4
    assert done.err.count("warning:") == 21
    assert len(rows_of(done.out)) == 41


# What is called an anomaly


def test_the_rate_and_the_threshold_decide_the_label(score, pictures):
    loose = rows_of(score(pictures, "--fpr", "0.5").out)
    assert all((float(r["p_value"]) <= 0.5) == (r["label"] == "anomaly") for r in loose)
    values = sorted(float(row["score"]) for row in loose)
    middle = values[75]
    by_score = rows_of(score(pictures, "--threshold", middle).out)
    assert [r["label"] == "anomaly" for r in by_score] == [
        float(r["score"]) > middle for r in loose
    ]


def test_a_rate_too_small_for_the_calibration_says_what_is_needed(score, pictures):
    done = score(pictures, "--fpr", "0.001")
    assert done.code == 2
    assert "needs at least 999 calibration images" in done.err
    assert done.out == ""


def test_an_anomaly_can_be_a_failure_and_weighs_more_than_a_skipped_file(score, damaged):
    found = score(damaged, "--threshold", "-1e9", "--fail-on-anomaly")
    assert found.code == 3
    assert "error: 8 anomalies in 8 images" in found.err
    assert len(rows_of(found.out)) == 10
    none = score(damaged, "--threshold", "1e9", "--fail-on-anomaly")
    assert none.code == 4


def test_without_anomalies_the_gate_passes(score, pictures):
    assert score(pictures, "--threshold", "1e9", "--fail-on-anomaly").code == 0


# Files


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_holds_what_standard_output_would(score, pictures, tmp_path, suffix):
    output = tmp_path / "new" / f"scores{suffix}"
    written = score(pictures, "--output", output)
    assert written.code == 0
    assert written.out == f"{output}\n"
    printed = score(pictures, *(["--json"] if suffix == ".jsonl" else []))
    assert output.read_text(encoding="utf-8") == printed.out
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_a_file_and_json_lines_at_once(score, pictures, tmp_path):
    done = score(pictures, "--output", tmp_path / "scores.csv", "--json")
    lines = json_rows(done.out)
    rows = rows_of((tmp_path / "scores.csv").read_text(encoding="utf-8"))
    assert [line["path"] for line in lines] == [row["path"] for row in rows]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--fpr", "0.1", "--threshold", "1"], 2, "--fpr and a threshold exclude each other"),
        (["--fpr", "1.5"], 2, "must be between 0 and 1, got 1.5"),
        (["--threshold", "nan"], 2, "--threshold nan is not a finite number"),
        (["--output", "scores.txt"], 2, "scores.txt is none of .csv, .jsonl and .parquet"),
        (["--null"], 2, "--null is about the list on standard input"),
        (["--checkpoint", "77"], 2, "no checkpoint '77'"),
        (["--device", "tpu"], 2, "unknown device 'tpu'"),
        (["-", "-"], 2, "standard input can be read only once"),
    ],
)
def test_wrong_words_are_told_in_one_line(score, pictures, words, code, said):
    done = score(pictures, *words)
    assert done.code == code
    assert said in done.err
    assert done.err.count("error:") == 1
    assert done.out == ""


def test_no_run_and_no_images(bigan, score, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = bigan("score", pictures)
    assert done.code == 2
    assert done.err == (
        "error: no run in results (run.json missing)\nhint: train one, or name it with --run DIR\n"
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").write_text("no picture")
    done = score("./docs")
    assert done.code == 1
    assert done.err.startswith("error: no images under ./docs (looked for .png .apng .jpg .jpeg ")
    assert done.out == ""


def test_a_model_file_needs_no_run(bigan, trained, pictures, tmp_path, score):
    shutil.copy(trained / "models" / "best.safetensors", tmp_path / "model.safetensors")
    words = ["--run", tmp_path, "--checkpoint", tmp_path / "model.safetensors", "--device", "cpu"]
    alone = bigan("score", pictures, *words)
    assert alone.code == 0
    assert alone.out == score(pictures).out


def test_another_checkpoint_gives_other_scores(score, pictures):
    assert score(pictures, "--checkpoint", "0").out != score(pictures).out
    assert score(pictures, "--checkpoint", "2").out == score(pictures, "--checkpoint", "last").out


def test_a_damaged_model_file_is_told_in_one_line(bigan, trained, pictures, tmp_path):
    whole = (trained / "models" / "best.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    done = bigan("score", pictures, "--run", trained, "--checkpoint", tmp_path / "half.safetensors")
    assert done.code == 1
    assert done.err.count("error:") == 1
    assert "Traceback" not in done.err


# Images of other kinds


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_score_that_is_not_finite_has_a_row_and_ends_nothing(
    score, pictures, monkeypatch, broken
):
    combine = EnsembleMember.combine

    def first_is_broken(member, components):
        scores = combine(member, components)
        scores[0] = broken
        return scores

    monkeypatch.setattr(EnsembleMember, "combine", first_is_broken)
    files = sorted(pictures.glob("*.png"))[:5]
    for words in ((), ("--json",)):
        done = score(*files, *words)
        assert done.code == 1
        assert len(done.lines) == (5 if words else 6)
        assert "the score is not finite" in done.lines[0 if words else 1]
        assert "1 image of 5 have a score that is not finite" in done.err
        assert "nan" not in done.out.lower().replace("components", "")


def test_conversions_are_told_once(score, tmp_path):
    for i in range(3):
        Image.new("RGB", (40, 30), (200, 10, i)).save(tmp_path / f"{i}.jpg")
    Image.new("L", (8, 8), 9).save(tmp_path / "9.png")
    done = score(tmp_path)
    assert done.code == 0
    assert done.err.count("prepared for the model") == 1
    assert "prepared for the model: 3 converted from RGB to grey, 3 resized to 8x8" in done.err


# Streams


def test_names_of_any_kind(listed, pictures, tmp_path):
    source = min(pictures.glob("*.png"))
    names = ['comma, "quote".png', "new\nline.png", "re\rturn.png", "snö.png", " [red]space.png"]
    for name in names:
        shutil.copy(source, tmp_path / name)
    paths = "\0".join(str(tmp_path / name) for name in names)
    done = listed(paths, "--null")
    assert done.code == 0
    assert [Path(row["path"]).name for row in rows_of(done.out)] == names
    done = listed(paths, "-0", "--json")
    assert [Path(row["path"]).name for row in json_rows(done.out)] == names


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_is_shown_escaped(score, pictures, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    shutil.copy(os.fsencode(min(pictures.glob("*.png"))), name)
    done = score(tmp_path, "--output", tmp_path / "scores.csv")
    assert done.code == 0
    (row,) = rows_of((tmp_path / "scores.csv").read_text(encoding="utf-8"))
    assert row["path"] == f"{tmp_path}/caf\\udce9.png"


def test_an_empty_list_is_a_failure(listed):
    done = listed("\n\n")
    assert done.code == 1
    assert done.err == "error: no paths on standard input\n"
    assert done.out == ""


def test_a_closed_standard_input_is_told(score, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after <&-
    done = score("-")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: standard input is closed\nhint: ")


@pytest.mark.slow
def test_rows_come_while_the_list_is_still_open(trained, pictures):
    paths = sorted(pictures.glob("*.png"))[:3]
    words = ["score", "-", "--run", str(trained), "--device", "cpu", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "bigan_cli", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for path in paths:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["path"] == str(path)
        process.stdin.close()
        assert process.stdout.read() == ""
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_person_at_a_terminal_sees_columns(trained, damaged):
    import pty

    next(damaged.glob("*.png")).rename(damaged / "a\n\x1b[2Jb.png")
    leader, follower = pty.openpty()
    words = ["--no-color", "score", str(damaged), "--run", str(trained), "--device", "cpu"]
    process = subprocess.run(
        [sys.executable, "-m", "bigan_cli", *words],
        stdout=follower,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    os.close(follower)
    shown = b""
    while block := _read_terminal(leader):
        shown += block
    os.close(leader)
    assert process.returncode == 4
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    assert lines[0].split() == ["label", "p-value", "score", "path"]
    assert len(lines) == 11
    starts = {line.split()[0] for line in lines[1:]}
    assert "error" in starts
    assert starts <= {"error", "normal", "anomaly"}
    assert sum(line.endswith("/a\\n\\x1b[2Jb.png") for line in lines) == 1
    assert len({line.index(str(damaged)) for line in lines[1:]}) == 1


def _read_terminal(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


@pytest.mark.slow
def test_scoring_imports_nothing_it_does_not_need(score, trained, pictures):
    rows = [json.loads(line) for line in score(pictures, "--json").lines]
    normal = [row["path"] for row in rows if not row["regions"]]  # finding regions takes scipy
    assert len(normal) > 100
    program = (
        "import sys; from bigan_cli.cli.main import main; code = main(sys.argv[1:]);"
        "bad = {'torchvision', 'sklearn', 'matplotlib', 'scipy', 'imageio'} & set(sys.modules);"
        "sys.exit(f'{code} {bad}' if code or bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "score", *normal, "--run", str(trained)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_report_replaces_the_rows_on_a_terminal_only(score, pictures, tmp_path, monkeypatch):
    pytest.importorskip("jinja2")
    picture, report = min(pictures.glob("*.png")), tmp_path / "report.html"
    piped = score(picture, "--report", report)
    assert len(rows_of(piped.out)) == 1
    monkeypatch.setattr(Terminal, "stdout_is_terminal", property(lambda _self: True))
    shown = score(picture, "--report", report)
    assert (shown.code, shown.out) == (0, "")
    assert "scored 1, skipped 0" in shown.err
    assert f"report: {report}" in shown.err
    assert "of them would be expected to be flagged by chance" in report.read_text("utf-8")
    assert picture.name in score(picture).out
    assert len(score(picture, "--report", report, "--json").lines) == 1


def test_the_smallest_p_value_is_explained_where_it_occurs(score, pictures, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)).save(
        tmp_path / "noise.png"
    )
    strange = score(tmp_path / "noise.png")
    n = round(1 / float(rows_of(strange.out)[0]["p_value"])) - 1
    assert f"is the smallest that {n} calibration images allow" in strange.err
    ordinary = score(pictures, "--top", 1)
    smallest = float(rows_of(ordinary.out)[0]["p_value"]) == pytest.approx(1 / (n + 1))
    assert ("is the smallest that" in ordinary.err) == smallest
