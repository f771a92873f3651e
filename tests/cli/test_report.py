"""``bigan report`` as a user meets it: what the page says is what the run says."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from bigan_cli import load
from bigan_cli.storage.run_directory import RunDirectory
from bigan_cli.workflows.reports.facts import training_command


def data_of(file):
    text = Path(file).read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(found)


def text_of(file):
    """Return the text of a page, without tags, on one line."""
    from html import unescape

    text = Path(file).read_text(encoding="utf-8")
    text = re.sub(r"<(style|script).*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture(scope="module")
def reported(trained, tmp_path_factory):
    """Return a copy of the trained run with its report; to be read only."""
    from bigan_cli.cli.main import main

    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("reported") / "run"))
    assert main(["report", "--run", str(run), "--device", "cpu"]) == 0
    return run


def test_every_number_is_what_the_run_says(reported):
    data, text = data_of(reported / "report.html"), text_of(reported / "report.html")
    evaluation = json.loads((reported / "stats" / "evaluation.json").read_text())
    with (reported / "stats" / "scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    point = evaluation["operating_point"]
    start = data["stops"][data["start"]]
    assert start["threshold"] == point["threshold"]
    assert start["false"] == point["observed_fpr"]["count"]
    assert start["true"] == point["observed_tpr"]["count"]
    assert data["total"] == evaluation["images"] == len(rows)
    assert (data["normals"], data["anomalies"]) == (
        evaluation["normal_images"],
        evaluation["anomalies"],
    )
    assert data["names"] == [row["name"] for row in rows]
    assert data["outlier"] == [int(row["outlier"]) for row in rows]
    assert [data["classes"][i] for i in data["labels"]] == [row["class"] for row in rows]
    assert data["scores"] == [float(f"{float(row['score']):.6g}") for row in rows]
    n = point["calibration_images"]
    assert [rank / (n + 1) for rank in data["ranks"]] == [float(row["p_value"]) for row in rows]
    for stop in data["stops"]:
        flagged = [float(row["p_value"]) <= float(stop["option"]) for row in rows]
        assert stop["flagged"] == sum(flagged)
        assert stop["flagged"] == stop["false"] + stop["true"]
    true, false = point["observed_tpr"], point["observed_fpr"]
    assert f"{true['count']:,} of {true['total']:,} anomalies" in text
    assert f"{false['count']:,} of {false['total']:,} normal images" in text
    assert f"AUROC {evaluation['trained']['auroc']['value']:.3f}" in text
    for name, area in evaluation["trained"]["components"].items():
        assert f"{name.replace('_', ' ')} {area:.3f}" in text
    for each in evaluation["classes"]:
        share = each["flagged"]
        assert f"{each['name']} {share['count']:,} of {share['total']:,}" in text


def test_it_says_how_the_run_was_trained_and_how_to_repeat_it(reported):
    text = text_of(reported / "report.html")
    info = json.loads((reported / "run.json").read_text())
    for part, number in info["data"]["images"].items():
        assert f"{part} {number:,}" in text
    assert info["data"]["fingerprint"] in text
    assert f"bigan report --run {reported}" in text
    assert "latent cycle" in text


def test_the_command_that_repeats_the_training_replaces_nothing(run):
    directory = RunDirectory.open(run)
    directory.write_info(argv=["train", "--dataset", "digits", "--overwrite", "--seed", "3"])
    assert training_command(directory).line == "bigan train --dataset digits --seed 3"


def test_the_most_and_the_least_anomalous_images_have_pictures(reported):
    text = (reported / "report.html").read_text()
    data = data_of(reported / "report.html")
    shown = {int(i) for i in re.findall(r'class="card" data-index="(\d+)"', text)}
    order = sorted(range(data["total"]), key=lambda i: -data["scores"][i])
    assert set(order[:12]) | set(order[-12:]) <= shown
    normal = [i for i in order if not data["outlier"][i]]
    anomalies = [i for i in order if data["outlier"][i]]
    assert set(normal[:12]) | set(anomalies[-12:]) <= shown


@pytest.mark.slow
def test_evaluate_writes_the_same_page_where_it_writes_its_results(bigan, run, tmp_path):
    done = bigan("evaluate", "--run", run, "--device", "cpu", "--report", "--checkpoint", "last")
    assert done.code == 0
    file = run / "stats" / "last" / "report.html"
    assert f"report: {file}" in done.err
    assert "--checkpoint last" in text_of(file)
    done = bigan(
        *("evaluate", "--run", run, "--device", "cpu", "--report", "--output", tmp_path / "other"),
        *("--dataset", "digits", "--inlier", "3", "--fpr", "0.1"),
    )
    assert done.code == 0
    assert data_of(tmp_path / "other" / "report.html")["normals"] > 0
    assert not (run / "report.html").exists()


@pytest.mark.slow
def test_the_report_of_photographs_shows_where_the_defect_is(bigan, photographs, tmp_path):
    page = tmp_path / "page.html"
    run = shutil.copytree(photographs / "run", tmp_path / "run")
    done = bigan("report", "--run", run, "--device", "cpu", "-o", page, "--json")
    assert done.code == 0
    assert json.loads(done.out)["report"] == str(page)
    text = page.read_text()
    assert text.count('class="peak"') > 0
    assert "data:image/" in text
    assert "Self-test" in text
    # By networks that had not seen them, as the threshold: not far below it.
    detector = load(run, device="cpu")
    highest = detector.threshold(1 / (detector.calibration_size + 1))
    _, _, strangest = text.partition("Strangest normal images")
    assert re.findall(r"<b>(-?[\d.]+)</b>", strangest)[0] == f"{highest:.3g}"


def test_scored_images_have_a_report_without_what_cannot_be_known(
    bigan, trained, pictures, tmp_path
):
    page, table = tmp_path / "today.html", tmp_path / "today.csv"
    hostile = tmp_path / "in" / "<img src=x onerror=alert(1)>.png"
    hostile.parent.mkdir()
    shutil.copy(next(pictures.glob("*.png")), hostile)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    words = ("--run", trained, "--device", "cpu", "--report", page, "--output", table)
    done = bigan("score", pictures, tmp_path / "in", *words)
    assert done.code == 4
    assert f"report: {page}" in done.err
    data, text = data_of(page), text_of(page)
    with table.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if not row["error"]]
    assert data["names"] == [row["path"] for row in rows]
    flagged = sum(row["label"] == "anomaly" for row in rows)
    start = data["stops"][data["start"]]
    assert (start["flagged"], start["false"], data["outlier"]) == (flagged, None, None)
    assert f"{flagged:,} of {len(rows)} images" in text
    assert "1 input could not be read" in text
    assert "AUROC" not in text
    assert "onerror=alert(1)>.png" in text  # as text, since tags are left out
    given = bigan("score", pictures, *words[:4], "--report", page, "--threshold", "0.25")
    assert given.code == 0
    start = data_of(page)["stops"][data_of(page)["start"]]
    assert (start["threshold"], start["fpr"]) == (0.25, None)
    assert start["flagged"] == sum(line.split(",")[3] == "anomaly" for line in given.lines[1:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--report", "page.txt"), "is not an .html file"),
        (("--report", "page.html", "--output", "a.csv", "--resume"), "has no report"),
    ],
)
def test_a_wrong_report_is_refused_before_any_work(bigan, trained, pictures, words, message):
    done = bigan("score", pictures, "--run", trained, *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_from_python(run, tmp_path):
    import bigan_cli

    page = bigan_cli.write_report(run, tmp_path / "page.html", device="cpu")
    assert page == tmp_path / "page.html"
    assert data_of(page)["total"] > 0
