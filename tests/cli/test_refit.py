"""Another score for a run that is trained: as if it had been trained with it, without training."""

from __future__ import annotations

import json

import pytest
import tomli
from safetensors.numpy import load_file

from bigan_cli.storage.model_header import read_header
from bigan_cli.workflows.run_models import RunModels

SCORE = (
    *("--set", "score.weights.distortion=1", "--set", "score.weights.reconstruction=0.5"),
    *("--set", "score.options.latent_neighbours.memory_bank_size=50"),
    *("--set", "score.fpr=0.1"),
)


def models_of(run):
    return sorted((run / "models").glob("*.safetensors"))


def epochs_of(run):
    return (run / "stats/metrics.jsonl").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 2])
def test_it_is_the_score_of_a_run_trained_with_it(bigan, tmp_path, small_options, members):
    words = ("train", "--outlier", "8", *small_options, "--members", str(members))
    changed, fresh = tmp_path / "changed", tmp_path / "fresh"
    assert bigan(*words, "--save-dir", changed).code == 0
    assert bigan(*words, *SCORE, "--save-dir", fresh).code == 0
    trained = epochs_of(changed)
    outcome = bigan("train", "--resume", *SCORE, "--save-dir", changed)
    assert outcome.code == 0, outcome.err
    assert "fitting the changed score to epoch-0000.safetensors (2/4)" in outcome.err
    assert "raise --epochs" not in outcome.err
    in_all = "2 members of 2 epochs each" if members > 1 else "2 epochs in all"
    assert in_all in outcome.err
    assert "trained 2" not in outcome.err
    assert epochs_of(changed) == trained
    assert [file.name for file in models_of(changed)] == [file.name for file in models_of(fresh)]
    for one, two in zip(models_of(changed), models_of(fresh), strict=True):
        found, expected = load_file(one), load_file(two)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert value.tobytes() == found[key].tobytes(), f"{one.name}: {key}"
        assert read_header(one).config.score == read_header(two).config.score
    kept = tomli.loads((changed / "config.toml").read_text(encoding="utf-8"))["score"]
    assert kept == tomli.loads((fresh / "config.toml").read_text(encoding="utf-8"))["score"]
    outcome = bigan("train", "--resume", *SCORE, "--save-dir", changed)
    assert "fitting" not in outcome.err
    assert "raise --epochs" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("again", [(), SCORE])
def test_a_change_that_was_interrupted_is_finished_by_the_next_resumption(
    bigan, tmp_path, small_options, monkeypatch, again
):
    words = ("train", "--outlier", "8", *small_options)
    changed, fresh = tmp_path / "changed", tmp_path / "fresh"
    assert bigan(*words, "--save-dir", changed).code == 0
    assert bigan(*words, *SCORE, "--save-dir", fresh).code == 0
    refit, seen = RunModels.refit, []

    def interrupted(self, path):
        seen.append(path.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return refit(self, path)

    monkeypatch.setattr(RunModels, "refit", interrupted)
    outcome = bigan("train", "--resume", *SCORE, "--save-dir", changed)
    assert outcome.code == 130
    assert f"continue with: bigan train --resume --save-dir {changed}" in outcome.err
    monkeypatch.undo()
    outcome = bigan("train", "--resume", *again, "--save-dir", changed)
    assert outcome.code == 0, outcome.err
    assert "fitting the changed score to epoch-0002.safetensors (1/2)" in outcome.err
    for one, two in zip(models_of(changed), models_of(fresh), strict=True):
        found, expected = load_file(one), load_file(two)
        assert all(value.tobytes() == found[key].tobytes() for key, value in expected.items())


@pytest.mark.slow
def test_training_goes_on_with_it(bigan, tmp_path, small_options):
    words = ("train", "--inlier", "3", *small_options)
    changed, fresh = tmp_path / "changed", tmp_path / "fresh"
    assert bigan(*words, "--save-dir", changed).code == 0
    outcome = bigan("train", "--resume", "--epochs", "3", *SCORE, "--save-dir", changed)
    assert outcome.code == 0
    assert "3 epochs in all, trained 1 epoch in " in outcome.err
    assert bigan(*words, "--save-dir", fresh).code == 0
    assert bigan("train", "--resume", "--epochs", "3", "--save-dir", fresh).code == 0
    assert bigan("train", "--resume", *SCORE, "--save-dir", fresh).code == 0
    for one, two in zip(models_of(changed), models_of(fresh), strict=True):
        found, expected = load_file(one), load_file(two)
        assert all(value.tobytes() == found[key].tobytes() for key, value in expected.items())


def test_a_changed_score_is_fitted_without_training(bigan, run):
    epochs, before = epochs_of(run), {file.name: load_file(file) for file in models_of(run)}
    outcome = bigan("train", "--resume", *SCORE, "--save-dir", run)
    assert outcome.code == 0, outcome.err
    assert "fitting the changed score to epoch-0000.safetensors (2/4)" in outcome.err
    assert epochs_of(run) == epochs
    for file in models_of(run):
        assert read_header(file).config.score.fpr == 0.1
        found = load_file(file)
        networks = [name for name in found if ".networks." in name]
        assert networks
        for name in networks:
            assert found[name].tobytes() == before[file.name][name].tobytes(), name


@pytest.mark.slow
def test_an_evaluation_of_the_score_as_it_was_is_told(bigan, run):
    assert bigan("evaluate", "--run", run).code == 0
    before = json.loads((run / "stats/evaluation.json").read_text(encoding="utf-8"))
    outcome = bigan("train", "--resume", *SCORE, "--save-dir", run)
    assert outcome.code == 0, outcome.err
    assert "has results of the previous score: evaluate the run again" in outcome.err
    assert bigan("evaluate", "--run", run).code == 0
    after = json.loads((run / "stats/evaluation.json").read_text(encoding="utf-8"))
    assert after["trained"]["auroc"] != before["trained"]["auroc"]


def test_a_score_that_cannot_be_fitted_changes_nothing(bigan, run):
    before = {file.name: file.read_bytes() for file in models_of(run)}
    config = (run / "config.toml").read_bytes()
    for words in (
        ("--set", 'score.components=["cycle_matching"]'),  # wants networks that were not trained
        ("--set", 'score.components=["nothing"]'),
        ("--set", "score.weights.distortion=-1"),
    ):
        outcome = bigan("train", "--resume", *words, "--save-dir", run)
        assert outcome.code in (1, 2), words
        assert "Traceback" not in outcome.err
        assert {file.name: file.read_bytes() for file in models_of(run)} == before
        assert (run / "config.toml").read_bytes() == config
