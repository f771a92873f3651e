"""Weights of score components: what is refused, and what a run keeps of them."""

from __future__ import annotations

import pytest
import tomli
import tomli_w

from bigan_cli.workflows.run_config import load


def test_the_weights_of_a_run_are_written_with_its_configuration(trained):
    weights = tomli.loads((trained / "config.toml").read_text(encoding="utf-8"))["score"]["weights"]
    assert weights["discriminator_neighbours"] == 1.0
    assert (weights["latent_neighbours"], weights["distortion"]) == (0.25, 0.0)  # leave-one-out
    assert weights["reconstruction"] == 0.0


@pytest.mark.slow
def test_a_run_without_weights_written_resumes_and_gets_them(bigan, tmp_path, small_options):
    run = tmp_path / "run"
    assert bigan("train", "--inlier", "8", *small_options, "--save-dir", run).code == 0
    file = run / "config.toml"
    whole = tomli.loads(file.read_text(encoding="utf-8"))
    old = {**whole, "score": {**whole["score"], "weights": {}}}
    file.write_text(tomli_w.dumps(old), encoding="utf-8")
    outcome = bigan("train", "--resume", "--epochs", "3", "--save-dir", run)
    assert outcome.code == 0, outcome.err
    written = tomli.loads(file.read_text(encoding="utf-8"))
    assert written["score"]["weights"] == whole["score"]["weights"]
    assert bigan("score", run / "reconstruction", "--run", run).code == 0


@pytest.mark.slow
def test_a_run_with_fewer_options_of_a_component_resumes_and_gets_the_others(bigan, tmp_path):
    run = tmp_path / "run"
    small = ("--epochs", "1", "--device", "cpu", "--feature-maps-gen", "4", "--latent-dim", "4")
    named = ("--set", "score.options.latent_neighbours.memory_bank_size=20")
    assert bigan("train", "--inlier", "8", *small, *named, "--save-dir", run).code == 0
    file = run / "config.toml"
    whole = tomli.loads(file.read_text(encoding="utf-8"))
    fewer = {"latent_neighbours": {"memory_bank_size": 20}}
    old = {**whole, "score": {**whole["score"], "options": fewer}}
    file.write_text(tomli_w.dumps(old), encoding="utf-8")
    outcome = bigan("train", "--resume", "--epochs", "2", "--save-dir", run)
    assert outcome.code == 0, outcome.err
    written = tomli.loads(file.read_text(encoding="utf-8"))
    assert written["score"]["options"] == whole["score"]["options"]
    assert "fitting the changed score" not in outcome.err


@pytest.mark.slow
def test_a_leave_one_out_run_of_before_its_preset_resumes_as_it_was(bigan, run):
    file = run / "config.toml"
    whole = tomli.loads(file.read_text(encoding="utf-8"))
    score = whole["score"]
    assert score["options"]["latent_neighbours"]["metric"] == "root"
    old = {**whole, "score": {**score, "weights": {}, "options": {}}}
    file.write_text(tomli_w.dumps(old), encoding="utf-8")
    outcome = bigan("train", "--resume", "--epochs", "3", "--save-dir", run)
    assert outcome.code == 0, outcome.err
    # Its models are of today here: they are made what the configuration says.
    assert "fitting the changed score to best.safetensors" in outcome.err
    written = tomli.loads(file.read_text(encoding="utf-8"))["score"]
    assert written["weights"]["distortion"] == 2.0
    assert written["options"] == {}


def test_weights_that_are_all_zero_are_refused_before_training(bigan, tmp_path):
    words = ("--set", "score.components=discriminator", "--set", "score.weights.discriminator=0")
    outcome = bigan("train", *words, "--save-dir", tmp_path / "run")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "error: every score component has weight 0: discriminator",
        "hint: give one a weight: --set score.weights.discriminator=1",
    ]
    assert not (tmp_path / "run").exists()


def test_a_component_that_is_named_alone_counts():
    loaded = load(None, ["score.components=discriminator"], {}, resume=False)
    assert loaded.config.score.weights == {"discriminator": 1.0}
    loaded = load(None, ["score.components=discriminator,flip"], {}, resume=False)
    assert loaded.config.score.weights == {"discriminator": 0.0, "flip": 1.0}


def test_negative_weights_are_refused(bigan, tmp_path):
    words = ("--set", "score.weights.reconstruction=-3", "--save-dir", tmp_path / "run")
    outcome = bigan("train", *words)
    assert outcome.code == 2
    assert outcome.err == (
        "error: --set: score.weights.reconstruction must be a number of 0 or more, got -3\n"
    )


def test_weights_that_leave_no_score_leave_no_run(bigan, small_options, tmp_path):
    names = ("distortion", "encoder_neighbours", "latent_neighbours", "discriminator_neighbours")
    sets = [word for name in names for word in ("--set", f"score.weights.{name}=0")]
    done = bigan("train", *small_options, *sets, "--save-dir", tmp_path / "a run")
    assert done.code == 2
    assert "no score component with a weight above zero is left" in done.err
    assert not (tmp_path / "a run").exists()
    done = bigan("train", *small_options, "--save-dir", tmp_path / "a run")
    assert done.err.splitlines()[-1] == f"next: bigan evaluate --run '{tmp_path / 'a run'}'"
