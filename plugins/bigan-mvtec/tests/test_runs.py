"""From the command line to the pixel AUROC."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bigan_cli.cli.main import main

SMALL = (
    *("--epochs", "3", "--latent-dim", "8", "--image-size", "16", "--device", "cpu"),
    *(
        "--architecture",
        "dcgan",
        "--feature-maps-gen",
        "4",
        "--feature-maps-disc",
        "4",
        "--fpr",
        "0.5",
    ),
    *("--set", "score.components=['reconstruction']"),
)


@pytest.fixture
def bigan(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line; returns its exit code, standard output and standard error."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BIGAN_PLUGINS", raising=False)

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        return main([str(word) for word in words]), *capfd.readouterr()

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mvtec", "visa"])
def test_train_evaluate_and_score(
    name: str,
    mvtec_root: Path,
    visa_root: Path,
    tmp_path: Path,
    bigan: Callable[..., tuple[int, str, str]],
) -> None:
    root, category, images = {
        "mvtec": (mvtec_root, "bottle", "bottle/test/blob"),
        "visa": (visa_root, "candle", "candle/Data/Images/Anomaly"),
    }[name]
    run = tmp_path / "run"
    train = ("train", "--dataset", name, "--data-root", root, *SMALL, "--save-dir", run)
    code, _, err = bigan(*train)
    assert code == 1
    assert err.startswith("error: which category of")
    assert not run.exists()
    code, _, err = bigan(*train, "--set", f"data.options.category={category}")
    assert code == 0, err
    code, out, err = bigan("evaluate", "--run", run, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["normal_classes"] == ["good"]
    assert found["masked_images"] == found["images"]
    assert 0 < found["trained"]["pixel_auroc"] < 1
    code, out, err = bigan("score", root / images, "--run", run, "--json")
    assert code == 0, err
    assert len(out.splitlines()) == len(list((root / images).iterdir()))
