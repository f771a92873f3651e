"""``bigan compare`` as a user meets it: which run is better, by how much, and where."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """Return two runs evaluated on the same images: a trained one, and a copy of bad scores."""
    from bigan_cli.cli.main import main

    base = tmp_path_factory.mktemp("compared")
    shutil.copytree(trained, base / "a")
    assert main(["evaluate", "--run", str(base / "a"), "--device", "cpu"]) == 0
    shutil.copytree(base / "a", base / "b")
    rows = table(base / "b")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))
    for row, other in zip(rows, [dict(rows[i]) for i in order], strict=True):
        row["score"], row["label"] = other["score"], other["label"]
    with (base / "b" / "stats" / "scores.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return base


def table(run: Path):
    with (run / "stats" / "scores.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_gain_is_that_of_the_scores_and_its_interval_is_paired(bigan, evaluated):
    done = bigan("compare", evaluated / "a", evaluated / "b", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    a, b = table(evaluated / "a"), table(evaluated / "b")
    outlier = np.array([row["outlier"] == "1" for row in a])
    areas = [roc_auc_score(outlier, [float(row["score"]) for row in rows]) for rows in (a, b)]
    first, second = found["runs"]
    assert [first["auroc"]["value"], second["auroc"]["value"]] == areas
    assert first["difference"] is None
    gain = second["difference"]["auroc"]
    assert gain["value"] == pytest.approx(areas[1] - areas[0])
    assert gain["low"] < gain["value"] < gain["high"]
    right = [
        [(row["label"] == "anomaly") == (row["outlier"] == "1") for row in rows] for rows in (a, b)
    ]
    names = [row["name"] for row in a]
    expected = [n for n, x, y in zip(names, *right, strict=True) if y and not x]
    assert second["only_right"] == expected
    assert found["anomalies"] == outlier.sum()


def test_a_run_is_no_better_than_its_copy(bigan, evaluated, tmp_path):
    copy = shutil.copytree(evaluated / "a", tmp_path / "copy")
    done = bigan("compare", evaluated / "a", copy)
    assert done.code == 0
    last = done.lines[-1].split("\t")
    assert last[-4:] == ["+0.0000", "+0.0000", "+0.0000", "no clear difference"]


def test_what_cannot_be_compared_is_refused(bigan, evaluated, run, tmp_path):
    alone = bigan("compare", evaluated / "a")
    assert (alone.code, "two or more runs" in alone.err) == (2, True)
    twice = bigan("compare", evaluated / "a", evaluated / "a")
    assert (twice.code, "given twice" in twice.err) == (2, True)
    fresh = bigan("compare", evaluated / "a", run)
    assert fresh.code != 0
    assert "bigan evaluate" in fresh.err
    other = shutil.copytree(evaluated / "a", tmp_path / "other")
    rows = (other / "stats" / "scores.csv").read_text().splitlines()
    (other / "stats" / "scores.csv").write_text("\n".join(rows[:-3]) + "\n")
    fewer = bigan("compare", evaluated / "a", other)
    assert (fewer.code, "different test images" in fewer.err) == (1, True)
    (other / "stats" / "scores.csv").write_text("name,score\na,nan\n")
    assert "is damaged" in bigan("compare", evaluated / "a", other).err
    shutil.copy(other / "models" / "epoch-0000.safetensors", other / "models" / "best.safetensors")
    assert "another model" in bigan("compare", evaluated / "a", other).err
