"""Runs whose cycles are adversarial, as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bigan_cli.cli.main import main
from bigan_cli.plugins import load_registry
from bigan_cli.storage.model_file import load_detector
from bigan_cli.storage.model_header import read_header

ON = (
    *("--set", "train.adversarial_image_cycle_weight=0.5"),
    *("--set", "train.adversarial_latent_cycle_weight=0.5"),
)


@pytest.fixture(scope="module")
def adversarial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adversarial") / "run"
    assert main([*words(folder), "--epochs", "2"]) == 0
    return folder


def words(folder):
    return [
        *("train", "--outlier", "8", "--save-interval", "2", "--device", "cpu", *ON),
        *("--latent-dim", "8", "--feature-maps-gen", "4", "--feature-maps-disc", "4"),
        *("--save-dir", str(folder)),
    ]


def load(file):
    return load_detector(file, torch.device("cpu"), load_registry())


def tensors(folder, name="last"):
    return load_file(folder / f"models/{name}.safetensors")


@pytest.mark.slow
def test_the_losses_are_told_and_drawn(adversarial):
    lines = (adversarial / "stats/metrics.jsonl").read_text().splitlines()
    for line in lines:
        losses = json.loads(line)["losses"]
        assert losses["d_xx_loss"] > 0
        assert losses["d_zz_loss"] > 0
        assert {"eg_xx_loss", "eg_zz_loss"} <= losses.keys()
    assert (adversarial / "stats/losses.png").stat().st_size > 0


@pytest.mark.slow
def test_the_model_file_rebuilds_them(adversarial):
    file = adversarial / "models/best.safetensors"
    assert read_header(file).cycle_discriminators == ("image", "latent")
    (member,) = load(file).members
    stored = tensors(adversarial, "best")
    for name, value in member.networks.cycle_discriminators.state_dict().items():
        kept = stored[f"members.0.networks.cycle_discriminators.{name}"]
        np.testing.assert_array_equal(value.numpy(), kept)
    assert member.components["cycle_matching"].weight == 1.0


@pytest.mark.slow
def test_scores_survive_the_file(bigan, adversarial, pictures, tmp_path):
    moved = shutil.copy(adversarial / "models/best.safetensors", tmp_path / "model.safetensors")
    done = [
        bigan("score", pictures, "--device", "cpu", *source)
        for source in (("--run", adversarial), ("--run", tmp_path, "--checkpoint", moved))
    ]
    assert [d.code for d in done] == [0, 0]
    assert done[0].out == done[1].out
    rows = list(csv.DictReader(io.StringIO(done[0].out, newline="")))
    values = np.array([float(row["cycle_matching"]) for row in rows])
    assert np.isfinite(values).all()
    assert values.std() > 0


@pytest.mark.slow
def test_the_component_alone_makes_a_score(bigan, tmp_path, pictures):
    folder = tmp_path / "run"
    only = ("--set", 'score.components=["cycle_matching"]', "--epochs", "1")
    assert bigan(*words(folder), *only).code == 0
    done = bigan("score", pictures, "--run", folder, "--json", "--device", "cpu")
    assert done.code == 0
    for line in map(json.loads, done.lines):
        assert line["components"] == {"cycle_matching": pytest.approx(line["score"])}


def test_without_them_a_model_has_neither_network_nor_component(trained):
    file = trained / "models/best.safetensors"
    header = read_header(file)
    assert header.cycle_discriminators == ()
    assert "cycle_matching" not in header.members[0].components
    assert not any(".cycle_discriminators." in name for name in tensors(trained, "best"))


def test_the_component_alone_is_refused_where_nothing_was_trained_for_it(bigan, tmp_path):
    alone = ("--set", 'score.components=["cycle_matching"]')
    done = bigan("train", "--epochs", "1", "--save-dir", tmp_path / "run", *alone)
    assert done.code == 2
    assert "no score component with a weight above zero is left" in done.err


@pytest.mark.slow
def test_a_run_goes_on_as_if_it_had_not_ended(bigan, tmp_path):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    # Noise falls over the length of the run, which is what differs here.
    calm = ("--set", "train.instance_noise=0.0")
    assert bigan(*words(folder), "--epochs", "1", *calm).code == 0
    assert bigan("train", "--resume", "--save-dir", folder, "--epochs", "2", *calm).code == 0
    assert bigan(*words(whole), "--epochs", "2", *calm).code == 0
    one, two = tensors(folder), tensors(whole)
    assert one.keys() == two.keys()
    assert all(value.tobytes() == two[name].tobytes() for name, value in one.items())


@pytest.mark.slow
def test_a_weight_cannot_change_on_resume(bigan, adversarial):
    other = ("--set", "train.adversarial_image_cycle_weight=0.0")
    done = bigan("train", "--resume", "--save-dir", adversarial, "--epochs", "3", *other)
    assert done.code == 2
    assert "cannot change train.adversarial_image_cycle_weight on resume (0.5 -> 0.0)" in done.err


def test_the_layers_are_shown(bigan):
    done = bigan("train", "--dry-run", "--json", *ON)
    layers = json.loads(done.out)["layers"]
    totals = [row["name"] for row in layers if row["kind"] == "total"]
    assert totals == ["encoder", "generator", "discriminator", "heads", "cycle_discriminators"]
