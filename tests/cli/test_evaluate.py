"""``bigan evaluate`` as a user meets it: real runs, with and without anomalies."""

from __future__ import annotations

import csv
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

FIGURES = ("roc.png", "pr.png", "histogram.png")


def table_of(text):
    return {row["figure"]: row for row in csv.DictReader(text.splitlines(), delimiter="\t")}


def scores_of(run):
    with (run / "stats" / "scores.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def strict_json(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """Return a copy of the trained run, evaluated once; to be read only."""
    from bigan_cli.cli.main import main

    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run"))
    assert main(["evaluate", "--run", str(run), "--device", "cpu"]) == 0
    return run


@pytest.fixture
def evaluate(bigan):
    return lambda run, *words: bigan("evaluate", "--run", run, "--device", "cpu", *words)


# With anomalies


def test_the_figures_are_those_of_the_scores(evaluated):
    rows = scores_of(evaluated)
    found = strict_json((evaluated / "stats" / "evaluation.json").read_text())
    outlier = np.array([row["outlier"] == "1" for row in rows])
    score = np.array([float(row["score"]) for row in rows])
    assert (found["images"], found["anomalies"]) == (len(rows), outlier.sum())
    assert found["prevalence"] == pytest.approx(outlier.mean())
    trained = found["trained"]
    assert trained["auroc"]["value"] == roc_auc_score(outlier, score)
    assert trained["average_precision"]["value"] == average_precision_score(outlier, score)
    for figure in ("auroc", "average_precision"):
        assert trained[figure]["low"] < trained[figure]["value"] < trained[figure]["high"]
    for name, area in trained["components"].items():
        assert area == roc_auc_score(outlier, [float(row[name]) for row in rows])
    point = found["operating_point"]
    flagged = np.array([row["label"] == "anomaly" for row in rows])
    assert (flagged == (score > point["threshold"])).all()
    assert (flagged == (np.array([float(row["p_value"]) for row in rows]) <= point["fpr"])).all()
    assert point["observed_tpr"]["value"] == flagged[outlier].mean()
    assert point["observed_fpr"]["value"] == flagged[~outlier].mean()
    by_name = {each["name"]: each for each in found["classes"]}
    assert list(by_name) == list("0123456789")
    assert [name for name in by_name if by_name[name]["outlier"]] == ["8"]
    ones = np.array([row["class"] == "1" for row in rows])
    assert by_name["1"]["auroc"]["value"] == roc_auc_score(
        outlier[ones | outlier], score[ones | outlier]
    )
    components = list(trained["components"])
    known = ["name", "class", "outlier", "score", "p_value", "label"]
    assert list(rows[0]) == [*known, *components, "error"]


@pytest.mark.slow
def test_the_untrained_network_stands_beside_the_trained_one(evaluated, evaluate, run):
    found = strict_json((evaluated / "stats" / "evaluation.json").read_text())
    of_untrained = strict_json(evaluate(run, "--checkpoint", "0", "--json").out)
    assert found["untrained"]["auroc"] == of_untrained["trained"]["auroc"]
    assert of_untrained["untrained"] is None
    assert found["gain"]["value"] == pytest.approx(
        found["trained"]["auroc"]["value"] - found["untrained"]["auroc"]["value"]
    )


@pytest.mark.slow
def test_other_checkpoints_and_data_replace_no_evaluation(bigan, evaluate, run):
    assert evaluate(run).code == 0
    usual = (run / "stats" / "evaluation.json").read_bytes()
    untrained = evaluate(run, "--checkpoint", "0")
    assert f"written to {run / 'stats' / 'epoch-0000'}: " in untrained.err
    assert evaluate(run, "--checkpoint", "last").code == 0
    other = ("--dataset", "digits", "--inlier", "3")
    assert evaluate(run, *other).code == 0
    assert evaluate(run, *other, "--checkpoint", "0").code == 0
    folders = ("epoch-0000", "last", "digits", "digits/epoch-0000")
    found = [strict_json((run / "stats" / f / "evaluation.json").read_text()) for f in folders]
    assert [each["epoch"] for each in found] == [0, 2, 1 + (found[2]["epoch"] == 2), 0]
    assert (run / "stats" / "evaluation.json").read_bytes() == usual
    words = ("train", "--outlier", "8", "--epochs", "1", "--device", "cpu", "--overwrite")
    small = ("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--latent-dim", "4")
    assert bigan(*words, *small, "--save-dir", run).code == 0
    assert sorted(p.name for p in (run / "stats").iterdir()) == ["losses.png", "metrics.jsonl"]


@pytest.mark.slow
def test_a_handful_of_anomalies_is_told(bigan, evaluate, tmp_path, small_options):
    run = tmp_path / "few"
    words = ("train", "--outlier", "8", "--outlier-portion", "0.01", *small_options)
    assert bigan(*words, "--save-dir", run).code == 0
    done = evaluate(run, "--json")
    found = strict_json(done.out)
    assert "too few to judge whether the networks have collapsed" in done.err
    number = found["anomalies"]
    assert 0 < number < 20
    anomalies = "is only 1 anomaly" if number == 1 else f"are only {number} anomalies"
    assert f"warning: there {anomalies} to test with: the intervals of AUROC" in done.err


def test_it_names_the_protocol_and_leaves_its_files(evaluated):
    found = strict_json((evaluated / "stats" / "evaluation.json").read_text())
    assert found["schema"] == 1
    assert found["protocol"] == "leave-one-out"
    assert found["normal_classes"] == list("012345679")
    assert found["dataset"] == "digits"
    for name in FIGURES:
        with Image.open(evaluated / "stats" / name) as picture:
            picture.load()
            assert picture.width > 300


def test_the_table_and_the_file_agree_also_below_the_gate(evaluate, run):
    printed = evaluate(run, "--min-auroc", "1")
    assert printed.code == 3
    assert "is below --min-auroc 1" in printed.err
    table = table_of(printed.out)
    document = strict_json((run / "stats" / "evaluation.json").read_text())
    for figure, value in (
        ("AUROC", document["trained"]["auroc"]),
        ("AUROC untrained", document["untrained"]["auroc"]),
        ("average precision", document["trained"]["average_precision"]),
        ("FPR to expect when set to 0.05", document["operating_point"]["expected_fpr"]),
        ("TPR", document["operating_point"]["observed_tpr"]),
    ):
        row = table[figure]
        assert [row["value"], row["95% low"], row["95% high"]] == [
            f"{value[key]:.4f}" for key in ("value", "low", "high")
        ]
    assert {f"AUROC of {name}" for name in document["trained"]["components"]} <= table.keys()
    assert "AUROC of anomalous class 8" in table
    assert f"written to {run / 'stats'}: evaluation.json, scores.csv, roc.png" in printed.err


@pytest.mark.slow
def test_twice_the_same_is_the_same(evaluate, evaluated, run):
    assert evaluate(run, "--min-auroc", "0.01").code == 0
    for name in ("evaluation.json", "scores.csv"):
        again = (run / "stats" / name).read_text().replace(str(run), str(evaluated))
        assert again == (evaluated / "stats" / name).read_text()
    other = strict_json(evaluate(run, "--seed", "7", "--json").out)
    assert other == strict_json((run / "stats" / "evaluation.json").read_text())
    first = strict_json((evaluated / "stats" / "evaluation.json").read_text())
    assert other["trained"]["auroc"]["value"] == first["trained"]["auroc"]["value"]
    assert other["trained"]["auroc"]["low"] != first["trained"]["auroc"]["low"]


@pytest.mark.slow
def test_another_rate_moves_the_threshold_alone(evaluate, run, evaluated):
    first = strict_json((evaluated / "stats" / "evaluation.json").read_text())
    wide = strict_json(evaluate(run, "--fpr", "0.3", "--json").out)
    assert wide["trained"] == first["trained"]
    assert wide["operating_point"]["threshold"] < first["operating_point"]["threshold"]
    expected = wide["operating_point"]["expected_fpr"]
    assert expected["low"] < 0.3 < expected["high"]


@pytest.mark.slow
def test_results_of_a_run_that_may_only_be_read_are_printed(evaluate, run, monkeypatch, tmp_path):
    def refuse(path, mode="wb"):
        if run in path.parents:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return atomic_write(path, mode)

    from bigan_cli.atomic import atomic_write

    for module in ("atomic", "storage.score_table", "report.mpl_style"):
        monkeypatch.setattr(f"bigan_cli.{module}.atomic_write", refuse, raising=False)
    done = evaluate(run, "--json")
    assert done.code == 0
    document = strict_json(done.out)
    assert document["trained"]["auroc"]["value"] > 0
    assert f"warning: the results are not saved: {run / 'stats'} cannot be written to" in done.err
    assert "written to" not in done.err.replace("cannot be written to", "")
    saved = evaluate(run, "--output", tmp_path / "elsewhere", "--json")
    assert saved.code == 0
    found = strict_json((tmp_path / "elsewhere" / "evaluation.json").read_text())
    assert found == document
    names = {"evaluation.json", "scores.csv", *FIGURES}
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == names
    assert not (run / "stats" / "evaluation.json").exists()


def test_an_output_that_cannot_be_made_is_an_error_before_the_work(evaluate, run):
    done = evaluate(run, "--output", run / "run.json")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"error: {run / 'run.json'}: File exists\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fpr", "0"], "--fpr must be between 0 and 1, got 0"),
        (["--fpr", "0.0001"], "needs at least 9999 calibration images"),
        (["--min-auroc", "95"], "--min-auroc 95 is not between 0 and 1"),
        (["--checkpoint", "1"], "no checkpoint '1'"),
        (["--inlier", "3"], "--inlier, --outlier and further settings are for another dataset"),
        (["--dataset", "cifar-10x"], "did you mean 'cifar10'?"),
        (["--dataset", "cifar10"], "model expects 1x8x8, cifar10 gives 3x32x32"),
        (["--fpr", "1e-30"], "needs at least 99999"),
        (["--dataset", "digits"], "which classes of digits are normal for this model is not"),
        (
            ["--dataset", "mnist", "--set", "train.lr=1"],
            "the setting train.lr=1 does not affect an evaluation",
        ),
    ],
)
def test_wrong_words_are_told_and_write_nothing(evaluate, run, words, said):
    done = evaluate(run, *words)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
    assert not (run / "stats" / "evaluation.json").exists()


def saved_epochs(run):
    return [int(path.stem[-4:]) for path in (run / "models").glob("epoch-*.safetensors")]


def test_a_missing_checkpoint_names_those_that_are_there(evaluate, run):
    err = evaluate(run, "--checkpoint", "1").err
    assert f"hint: --checkpoint best or last or {max(saved_epochs(run))}," in err
    (empty := run.parent / "stopped" / "models").mkdir(parents=True)
    (empty / "epoch-0000.safetensors").write_bytes(
        (run / "models/epoch-0000.safetensors").read_bytes()
    )
    (empty.parent / "run.json").write_bytes((run / "run.json").read_bytes())
    untrained = evaluate(empty.parent)
    assert untrained.code == 2
    assert "no trained model yet" in untrained.err
    assert f"bigan train --resume --save-dir {empty.parent}" in untrained.err
    assert "--checkpoint 0" in untrained.err


def test_no_run(bigan, tmp_path):
    done = bigan("evaluate", "--run", tmp_path)
    assert done.code == 2
    assert f"error: no run in {tmp_path} (run.json missing)" in done.err


@pytest.mark.slow
def test_without_the_untrained_model_there_is_no_comparison(evaluate, run):
    (run / "models" / "epoch-0000.safetensors").unlink()
    done = evaluate(run, "--json")
    assert done.code == 0
    document = strict_json(done.out)
    assert document["untrained"] is None
    assert document["gain"] is None
    assert "warning: the untrained network's model file is gone" in done.err


# Without anomalies


@pytest.fixture
def own_run(own_images, tmp_path):
    """Return a copy of the run on a folder of normal images alone."""
    return Path(shutil.copytree(own_images / "run", tmp_path / "own-run"))


def test_own_images_without_anomalies(evaluate, own_run):
    run = own_run
    stale = run / "stats" / "roc.png"
    stale.write_bytes(b"of an earlier evaluation")
    done = evaluate(run)
    assert done.code == 0
    assert "AUROC cannot be computed: there are no test images" in done.err
    table = table_of(done.out)
    assert "AUROC" not in table
    assert "calibration images" in table["threshold"]["of"]
    assert float(table["FPR to expect when set to 0.05"]["95% high"]) > 0.05
    assert "median score of calibration images" in table
    assert not stale.exists()
    assert (run / "stats" / "histogram.png").stat().st_size > 1000
    gate = evaluate(run, "--json", "--min-auroc", "0.5")
    assert gate.code == 3
    assert "AUROC needs both normal images and anomalies" in gate.err
    document = strict_json(gate.out)
    assert document["trained"]["auroc"] is None
    assert document["operating_point"]["calibration_images"] > 19


@pytest.mark.slow
def test_own_images_on_defects_found_later(evaluate, own_run, write_digits, tmp_path):
    write_digits(tmp_path / "good", 1200, 1700, only=3)
    write_digits(tmp_path / "wrong", 1200, 1250)
    words = ["--dataset", "folder", "--data-root", tmp_path, "--set", "data.options.layout=defects"]
    done = evaluate(own_run, *words, "--json")
    assert done.code == 0
    document = strict_json(done.out)
    normals = len(list((tmp_path / "good").iterdir()))
    assert (document["normal_images"], document["anomalies"]) == (normals, 50)
    assert document["trained"]["auroc"] is not None
    assert [each["name"] for each in document["classes"]] == ["good", "wrong"]
    assert (own_run / "stats" / "folder" / "roc.png").exists()


# Data that changed


@pytest.mark.slow
def test_changed_test_images_are_noticed(bigan, evaluate, write_digits, small_options, tmp_path):
    write_digits(tmp_path / "data" / "train" / "good", 0, 1200, only=3)
    write_digits(tmp_path / "data" / "test" / "good", 1200, 1700, only=3)
    write_digits(tmp_path / "data" / "test" / "wrong", 1200, 1230)
    run = tmp_path / "run"
    words = ["train", "--dataset", "folder", "--data-root", tmp_path / "data", *small_options]
    assert bigan(*words, "--save-dir", run).code == 0
    assert "are not those of" not in evaluate(run).err
    moved = (tmp_path / "data").rename(tmp_path / "moved")
    gone = evaluate(run)
    assert gone.code == 1
    assert "are no longer in" in gone.err
    assert "--data-root" in gone.err
    assert "are not those of" not in evaluate(run, "--data-root", moved).err
    next((moved / "test" / "wrong").iterdir()).unlink()
    changed = evaluate(run, "--data-root", moved)
    assert changed.code == 0
    assert "warning: the test images of folder are not those of" in changed.err


# With masks


@pytest.fixture(scope="module")
def masked_run(tmp_path_factory):
    """Return a run on blank plates, of which some have a bright spot and most spots a mask."""
    from bigan_cli.cli.main import main

    base = tmp_path_factory.mktemp("plates")
    random = np.random.default_rng(0)

    def write(name, spot=None, mask=""):
        plate = random.integers(60, 180, (16, 16), np.uint8)
        marked = np.zeros((32, 32), np.uint8)  # a mask may be larger than its image
        if spot is not None:
            plate[spot : spot + 4, 2:6] += 40
            marked[2 * spot : 2 * spot + 8, 4:12] = 255
        for path, pixels in ((base / name, plate), (base / mask, marked)):
            if path != base:
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)

    for i in range(60):
        write(f"train/good/{i}.png")
    for i in range(8):
        write(f"test/good/{i}.png")
        write(f"test/spot/{i}.png", i, f"ground_truth/spot/{i}_mask.png" if i else "")
    words = ["--epochs", "2", "--latent-dim", "8", "--feature-maps-gen", "4", "--device", "cpu"]
    words += ["--save-dir", str(base / "run"), "--set", "data.calibration_portion=0.4"]
    assert main(["train", "--dataset", "folder", "--data-root", str(base), *words]) == 0
    return base / "run"


def test_masks_give_a_pixel_auroc(evaluate, masked_run):
    printed = evaluate(masked_run)
    assert printed.code == 0
    found = strict_json((masked_run / "stats" / "evaluation.json").read_text())
    assert found["masked_images"] == 15  # one spot has no mask
    pixel = found["trained"]["pixel_auroc"]
    assert 0.5 < pixel < 1
    assert found["untrained"]["pixel_auroc"] not in (None, pixel)
    row = table_of(printed.out)["pixel AUROC"]
    assert row["value"] == f"{pixel:.4f}"
    assert row["of"] == "pixels of 15 images with known masks"
    assert "pixel AUROC untrained" in table_of(printed.out)
    aupro = table_of(printed.out)["AUPRO"]
    assert aupro["value"] == f"{found['trained']['pixel_aupro']:.4f}"
    assert aupro["of"] == "7 regions in 15 images with known masks"
    assert 0 < found["trained"]["pixel_aupro"] < 1
    recall = table_of(printed.out)["recall at 5% false positives"]
    assert recall["value"] == f"{found['trained']['recall']['0.05']['value']:.4f}"


@pytest.mark.slow
def test_the_pixel_auroc_is_that_of_the_heatmaps(evaluate, masked_run):
    import torch

    from bigan_cli.plugins import load_registry
    from bigan_cli.storage.model_file import load_detector

    assert evaluate(masked_run).code == 0
    found = strict_json((masked_run / "stats" / "evaluation.json").read_text())
    detector = load_detector(
        masked_run / "models" / "best.safetensors", torch.device("cpu"), load_registry()
    )
    root = masked_run.parent
    files = [root / "test" / "good" / f"{i}.png" for i in range(8)]
    files += [root / "test" / "spot" / f"{i}.png" for i in range(1, 8)]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])[:, None]
    truth = np.zeros((15, 16, 16), bool)
    for i in range(1, 8):
        truth[7 + i, i : i + 4, 2:6] = True
    expected = roc_auc_score(truth.ravel(), detector.heatmaps(pixels).ravel())
    assert found["trained"]["pixel_auroc"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_without_masks_no_pixel_is_spoken_of(evaluated, evaluate, run):
    found = strict_json((evaluated / "stats" / "evaluation.json").read_text())
    assert found["trained"]["pixel_auroc"] is None
    assert found["masked_images"] == 0
    assert "pixel" not in evaluate(run).out


def test_a_damaged_mask_ends_the_evaluation_in_words(evaluate, masked_run, tmp_path):
    data = shutil.copytree(masked_run.parent, tmp_path / "data")
    mask = data / "ground_truth" / "spot" / "3_mask.png"
    mask.write_bytes(mask.read_bytes()[:60])
    ended = evaluate(data / "run", "--data-root", data)
    assert ended.code == 1
    assert f"cannot read {mask}" in ended.err
    assert "Traceback" not in ended.err
