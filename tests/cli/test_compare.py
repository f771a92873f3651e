"""``bigan compare`` as a user meets it: which run is better, by how much, and where."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bigan_cli.errors import DataError
from bigan_cli.storage.evaluation_record import read_scores
from bigan_cli.workflows.callbacks import Callbacks
from bigan_cli.workflows.compare import compare
from bigan_cli.workflows.reports.comparison import write_comparison_page


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


def test_the_page_says_which_is_better_and_shows_what_they_disagree_on(bigan, evaluated, tmp_path):
    page = tmp_path / "compared.html"
    words = ("compare", evaluated / "b", evaluated / "a", "--output", page)
    done = bigan(*words)
    assert done.code == 0, done.err
    assert f"comparison: {page}" in done.err
    text = page.read_text(encoding="utf-8")
    found = json.loads(bigan("compare", evaluated / "b", evaluated / "a", "--json").out)
    _, second = found["runs"]
    gain = second["difference"]["auroc"]["value"]
    assert f"a is better than b by {gain:.3f}: AUROC {second['auroc']['value']:.3f}" in text
    rows = table(evaluated / "a")
    assert text.count('<th scope="row"') == 2 + len({row["class"] for row in rows})
    assert f"a is right and b is wrong: {len(second['only_right'])} images" in text
    shown = min(24, len(second["only_right"])) + min(24, len(second["only_wrong"]))
    assert text.count('src="data:image/') == shown
    assert text.count("<circle") == len(rows)
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    again = bigan(*words)
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert bigan(*words, "--overwrite").code == 0
    other = bigan(*words[:3], "--output", tmp_path / "compared.txt")
    assert (other.code, "not an .html file" in other.err) == (2, True)


def test_a_page_without_the_images_has_no_pictures(bigan, evaluated, tmp_path, monkeypatch):
    def missing(*_args, **_options):
        raise DataError("the folder is gone")

    monkeypatch.setattr("bigan_cli.workflows.reports.comparison.open_test", missing)
    page = tmp_path / "compared.html"
    done = bigan("compare", evaluated / "a", evaluated / "b", "--output", page)
    assert done.code == 0, done.err
    assert "warning: the page has no pictures: the folder is gone" in done.err
    assert "<img" not in page.read_text(encoding="utf-8")


def test_names_on_the_page_are_text(evaluated, tmp_path):
    images = read_scores(evaluated / "a" / "stats" / "scores.csv")
    hostile = replace(images, names=("<script>alert(1)</script>", *images.names[1:]))
    result = compare([evaluated / "a", evaluated / "b"])
    write_comparison_page(
        tmp_path / "page.html",
        result,
        [hostile, hostile],
        data_root=None,
        plugins=(),
        callbacks=Callbacks(),
    )
    assert "<script>" not in (tmp_path / "page.html").read_text(encoding="utf-8")
