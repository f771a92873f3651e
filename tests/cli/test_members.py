"""Runs of several members, and what a collapsed run says, as a user meets them."""

import json
import shutil
import signal
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bigan_cli.cli.main import main
from bigan_cli.plugins import load_registry
from bigan_cli.storage.model_file import load_detector
from bigan_cli.storage.model_header import read_header

SMALL = [
    *("--outlier", "8", "--epochs", "2", "--save-interval", "2", "--device", "cpu"),
    *("--feature-maps-gen", "4", "--feature-maps-disc", "4", "--latent-dim", "8"),
    *("--members", "2"),
]


def bigan(*words):
    return main([str(word) for word in words])


def load(file):
    return load_detector(file, torch.device("cpu"), load_registry())


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    return np.round(load_digits().images[:40] * 255 / 16).astype(np.uint8)[:, None]


def test_the_score_is_the_mean_of_the_members(ensemble, digits):
    detector = load(ensemble / "models/best.safetensors")
    assert [member.provenance.seed for member in detector.members] == [0, 1]
    scores = detector.score(digits)
    np.testing.assert_allclose(scores.score, scores.members.mean(axis=0), rtol=1e-12)
    assert not np.allclose(*scores.members)
    alone = [m.combine(m.component_scores(digits, detector.batch_size)) for m in detector.members]
    np.testing.assert_array_equal(scores.members, alone)
    one = np.concatenate([detector.score(digits[i : i + 1]).score for i in range(len(digits))])
    np.testing.assert_array_equal(one, scores.score)
    rebuilt = detector.members[0].reconstruct(digits, detector.batch_size)
    np.testing.assert_array_equal(detector.reconstruct(digits), rebuilt)
    maps = [member.heatmaps(digits, detector.batch_size) for member in detector.members]
    wanted = detector.map_calibration.in_units(np.mean(maps, axis=0), detector.default_fpr)
    np.testing.assert_allclose(detector.heatmaps(digits), wanted, rtol=1e-5, atol=1e-6)


def test_every_model_file_holds_all_members(ensemble):
    for name, epochs in (("epoch-0000", {0}), ("epoch-0002", {2}), ("last", {2}), ("best", None)):
        header = read_header(ensemble / "models" / f"{name}.safetensors")
        assert len(header.members) == 2
        assert epochs is None or {m.provenance.epoch for m in header.members} == epochs
    rows = [json.loads(x) for x in (ensemble / "stats/metrics.jsonl").read_text().splitlines()]
    assert [(row["member"], row["epoch"]) for row in rows] == [
        (member, epoch) for member in (1, 2) for epoch in range(1, 3)
    ]
    info = json.loads((ensemble / "run.json").read_text())
    assert info["status"] == "done"
    assert [member["seed"] for member in info["members"]] == [0, 1]


def test_evaluation_tells_of_the_members_and_keeps_the_rate(ensemble, capsys):
    assert bigan("evaluate", "--run", ensemble, "--device", "cpu", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    members = document["members"]
    assert len(members["auroc"]) == 2
    assert members["mean"] == pytest.approx(np.mean(members["auroc"]))
    assert members["standard_deviation"] == pytest.approx(np.std(members["auroc"], ddof=1))
    point = document["operating_point"]
    assert point["observed_fpr"]["low"] < point["expected_fpr"]["high"]
    assert point["observed_fpr"]["high"] > point["expected_fpr"]["low"]
    assert [each["seed"] for each in document["diagnostics"]] == [0, 1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("line", "sent"),
    [("member 1/2 epoch 1/", signal.SIGINT), ("member 2/2 epoch 1/", signal.SIGKILL)],
)
def test_a_run_stopped_in_any_member_resumes_bit_identically(
    start_bigan, ensemble, tmp_path, line, sent
):
    folder = tmp_path / "run"
    process = start_bigan("train", *SMALL, "--save-dir", folder)
    process.wait_for(line)
    process.send_signal(sent)
    assert process.end() == (130 if sent is signal.SIGINT else -signal.SIGKILL), process.err
    assert bigan("train", "--resume", "--save-dir", folder) == 0
    for file in sorted((ensemble / "models").glob("*.safetensors")):
        expected, found = load_file(file), load_file(folder / "models" / file.name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert value.tobytes() == found[key].tobytes(), f"{file.name}: {key}"


@pytest.mark.slow
def test_a_collapsed_run_is_never_reported_as_fine(tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["--outlier", "8", "--epochs", "21", "--lr", "0.3", "--device", "cpu"]
    words += ["--feature-maps-gen", "8", "--feature-maps-disc", "8", "--latent-dim", "8"]
    words += ["--set", "train.reconstruction_weight=0.0", "--set", "train.latent_cycle_weight=0.0"]
    assert bigan("train", *words, "--save-dir", folder) == 0
    said = capsys.readouterr().err
    sentence = "G's images are all alike"
    assert said.count(sentence) == 2  # once when it rises, and in the last words
    assert "a larger 'train.reconstruction_weight' or a lower --lr" in said
    info = json.loads((folder / "run.json").read_text())
    assert "mode_collapse" in [warning["name"] for warning in info["members"][0]["warnings"]]
    rows = [json.loads(x) for x in (folder / "stats/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["extra"]["sample_variance"] < 0.1
    assert bigan("evaluate", "--run", folder, "--device", "cpu", "--checkpoint", "last") == 0
    assert sentence in capsys.readouterr().err
    document = json.loads((folder / "stats/last/evaluation.json").read_text())
    assert "mode_collapse" in [
        warning["name"] for warning in document["diagnostics"][0]["warnings"]
    ]


def test_pictures_name_the_epoch_of_the_member_that_made_them(
    ensemble, tmp_path, capsys, rewrite_model
):
    run = tmp_path / "run"
    shutil.copytree(ensemble, run)
    best = run / "models/best.safetensors"

    def change(header, _tensors):
        header["members"][0]["epoch"] = 1  # the first one was best long before the second
        header["members"][1]["epoch"] = header["epoch"] = 2

    rewrite_model(best, change)
    capsys.readouterr()
    assert bigan("reconstruct", "--run", run, "--device", "cpu", "--json") == 0
    assert json.loads(capsys.readouterr().out)["epoch"] == 1


def test_few_steps_and_those_not_judged_are_told_of_each_member(tmp_path, capsys):
    assert bigan("train", *SMALL, "--dry-run", "--epochs", "2", "--save-dir", tmp_path) == 0
    assert "steps for each member, too few to learn much" in capsys.readouterr().err
    assert bigan("train", *SMALL, "--dry-run", "--epochs", "8", "--save-dir", tmp_path) == 0
    assert "300, and natural images need more: raise --epochs" in capsys.readouterr().err
