"""The pages of results against the files of results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = sorted((BENCHMARKS / "results").glob("detection-*.json"))


@pytest.fixture
def results_page(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import results_page

    return results_page


def cell(name, auroc, seed=0, **changed):
    return {
        "cell": f"made-up-{name}-s{seed}",
        "dataset": "made_up",
        "protocol": "one-class",
        "option": "inlier",
        "classes": [name],
        "seed": seed,
        "preset": None,
        "variant": None,
        "status": "done",
        "error": None,
        "epochs": 3,
        "precision": "fp32",
        "machine": "Some CPU",
        "auroc": auroc,
        "average_precision": 0.75,
        "untrained_auroc": 0.5,
        "untrained_average_precision": 0.25,
        "training_seconds": 10.0,
        "images_per_second": 1000.0,
        "versions": {"bigan": "0.1.0", "torch": "2.6.0"},
        "commit": "0123456789abcdef",
        "baselines": {"pca": {"auroc": 0.875, "average_precision": 0.5}},
        **changed,
    }


@pytest.fixture
def results(tmp_path):
    document = {
        "schema": 1,
        "name": "made-up",
        "date": "2026-01-31T12:00:00+00:00",
        "command": "bigan benchmark --dataset made_up",
        "settings": {},
        "cells": [cell("frog", 0.75), cell("toad", 1.0)],
    }
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "detection-made-up.json").write_text(json.dumps(document))
    return folder


def test_the_documents_agree_with_the_results():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "results_page.py", "--check"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_result_goes_between_its_markers(results_page, results, tmp_path):
    page, readme = tmp_path / "results.md", tmp_path / "README.md"
    page.write_text(
        "before\n<!-- results:made-up -->\nold\n<!-- /results -->\n"
        "<!-- results:other -->\n<!-- /results -->\nafter\n"
    )
    readme.write_text("<!-- results:made-up summary -->\n<!-- /results -->\n")
    assert results_page.update([page, readme], results, check=True) == 1
    assert "old" in page.read_text()
    assert results_page.update([page, readme], results, check=False) == 0
    made = page.read_text()
    assert made.startswith("before\n<!-- results:made-up -->\n")
    assert made.endswith("Not measured yet.\n\n<!-- /results -->\nafter\n")
    assert "`bigan benchmark --dataset made_up`, finished on 2026-01-31." in made
    assert "| normal class | bigan | untrained | PCA |" in made
    assert "| frog | 0.750 | 0.500 | 0.875 |" in made
    assert "| **mean of 2** | **0.875** | **0.500** | **0.875** |" in made
    assert "old" not in made
    assert "| made_up, one-class, mean of 2 | 0.875 | 0.500 | 0.875 |" in readme.read_text()
    assert "toad" not in readme.read_text()
    assert results_page.update([page, readme], results, check=True) == 0


def test_several_results_make_one_table(results_page, results, tmp_path):
    first = json.loads((results / "detection-made-up.json").read_text())
    first["command"] = "bigan benchmark --dataset other"
    first["cells"] = [cell("newt", 0.5, dataset="other")]
    (results / "detection-other-one.json").write_text(json.dumps(first))
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results:other-one+not-there+made-up summary -->\n<!-- /results -->\n")
    made = results_page.render(readme.read_text(), results)
    assert "| other-one, one-class, mean of 1 | 0.500 |" in made
    assert "| made-up, one-class, mean of 2 | 0.875 |" in made
    assert made.count("| AUROC |") == 1
    assert made.count("finished on 2026-01-31.") == 2


def test_a_result_without_a_place_is_told(results_page, results, tmp_path, capsys):
    page = tmp_path / "results.md"
    page.write_text("nothing here\n")
    assert results_page.update([page], results, check=True) == 1
    assert capsys.readouterr().err == "results.md has no place for detection-made-up\n"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_is_whole_and_private_to_nobody(path):
    text = path.read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["schema"] == 1
    assert all(row["status"] == "done" and not row["error"] for row in found["cells"])
    assert all(row["commit"] and "+changes" not in row["commit"] for row in found["cells"])
    for private in ("/home/", "/root/", "/tmp/", "/Users/", "/work/"):
        assert private not in text
