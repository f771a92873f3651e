"""The whole way on real images, briefly; the long runs are in the benchmarks."""

import json

import pytest


@pytest.mark.slow
def test_mnist_from_training_to_evaluation(bigan, real_data, tmp_path):
    run = tmp_path / "run"
    words = ["--dataset", "mnist", "--inlier", "0", "--outlier-portion", "0.3"]
    size = ["--feature-maps-gen", "8", "--feature-maps-disc", "8", "--epochs", "2"]
    outcome = bigan("train", *words, *size, "--data-root", real_data, "--save-dir", run)
    assert outcome.code == 0, outcome.err

    outcome = bigan("evaluate", "--run", run, "--json")
    assert outcome.code == 0, outcome.err
    evaluation = json.loads(outcome.out)
    assert (evaluation["normal_images"], evaluation["anomalies"]) == (980, 420)
    assert evaluation["trained"]["auroc"]["value"] > 0.95
    assert evaluation["untrained"]["auroc"]["value"] > 0.5
