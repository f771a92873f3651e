"""bigan train --profile and --compile, through the command line."""

import json
import os
import shutil

import pytest


@pytest.mark.slow
def test_profile_is_a_table_and_a_trace(bigan, small_options, tmp_path):
    words = ("train", "--outlier", "8", *small_options)
    plain = bigan(*words, "--save-dir", tmp_path / "plain")
    done = bigan(*words, "--save-dir", tmp_path / "run", "--profile")
    assert plain.code == done.code == 0
    run, header, *rows = done.lines
    assert run == str(tmp_path / "run")
    assert header.split("\t") == ["kind", "part of a step", "calls", "ms", "share"]
    parts = {row.split("\t")[1]: row.split("\t") for row in rows}
    total = parts["whole step"]
    assert total[0] == "total"
    assert float(total[3]) > 0
    phases = [row for row in parts.values() if row[0] == "phase"]
    # The phases follow one another, and what lies between the steps has a row of its own.
    assert len(phases) == 11
    assert sum(float(row[3]) for row in phases) == pytest.approx(float(total[3]), rel=0.02)
    assert float(parts["between the steps: batches, ends of epochs"][3]) < 0.5 * float(total[3])
    assert "aten::convolution_backward" in parts
    trace = json.loads((tmp_path / "run" / "stats" / "profile.json").read_text())
    assert any(event.get("name") == "step: backward of D" for event in trace["traceEvents"])
    # Watching changes nothing.
    losses = [
        json.loads((tmp_path / name / "stats" / "metrics.jsonl").read_text().splitlines()[-1])
        for name in ("plain", "run")
    ]
    assert losses[0]["losses"] == losses[1]["losses"]


@pytest.mark.slow
def test_profile_in_json_and_its_trace_goes_with_the_run(bigan, small_options, tmp_path):
    few = ("--epochs", 1, "--batch-size", 128)
    words = ("train", "--outlier", "8", *small_options, *few, "--save-dir", tmp_path / "run")
    done = bigan(*words, "--profile", "--json")
    rows = json.loads(done.out)["profile"]
    assert {row["kind"] for row in rows} == {"phase", "total", "operator"}
    assert bigan(*words, "--overwrite").code == 0
    assert not (tmp_path / "run" / "stats" / "profile.json").exists()


def test_too_few_steps_for_a_profile(bigan, small_options, tmp_path):
    words = ("train", *small_options, "--epochs", 1, "--batch-size", 64)
    done = bigan(*words, "--save-dir", tmp_path / "run", "--profile", "--json")
    assert done.code == 0
    assert "too few steps for a profile, which needs 6" in done.err
    assert "profile" not in json.loads(done.out)


def test_a_dry_run_has_nothing_to_profile(bigan):
    done = bigan("train", "--dry-run", "--profile")
    assert done.code == 2
    assert "--profile" in done.err


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.timeout(400)
def test_compiled_training_learns_as_the_plain_one(bigan, bigan_process, small_options, tmp_path):
    words = ("train", *small_options, "--save-dir")
    assert bigan(*words, tmp_path / "off").code == 0
    done = bigan_process(
        *words,
        tmp_path / "on",
        "--compile",
        "on",
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "kernels"),
    )
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    assert "torch/" not in done.err
    assert "kernels are compiled in the first steps" in done.err
    plain, compiled = (
        json.loads((tmp_path / run / "stats" / "metrics.jsonl").read_text().splitlines()[-1])
        for run in ("off", "on")
    )
    assert compiled["losses"] == pytest.approx(plain["losses"], abs=0.02)


@pytest.mark.slow
def test_no_compiler_is_told_in_plain_words(bigan_process, small_options, tmp_path):
    done = bigan_process(
        *("train", *small_options, "--compile", "on", "--save-dir", tmp_path / "run"),
        CXX=str(tmp_path / "no-such-compiler"),
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "kernels"),
        PATH=os.environ["PATH"],
    )
    assert done.code == 1
    assert done.err.count("error:") == 1
    assert "torch.compile failed" in done.err
    assert "--compile off" in done.err
    assert "Traceback" not in done.err
