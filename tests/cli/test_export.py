"""``bigan export``: the file scores as the model does, without bigan and without torch."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bigan_cli as bigan
from bigan_cli.cli.main import main
from bigan_cli.errors import DataError
from bigan_cli.export.comparison import Comparison

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Runs a script where neither torch nor bigan can be imported.
WITHOUT = (
    "import runpy, sys;"
    "sys.modules.update(torch=None, bigan_cli=None);"
    "sys.argv = sys.argv[1:];"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run_without_bigan(script: Path, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, script, *map(str, words)],
        capture_output=True,
        check=True,
        text=True,
        timeout=100,
    )
    return done.stdout


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def check_same_rows(expected: list[dict[str, str]], found: list[dict[str, str]]) -> None:
    """Check that two tables have the same images, labels and, but for rounding, scores."""
    assert found
    assert [list(row) for row in found] == [list(row) for row in expected]
    for column in ("path", "p_value", "label", "regions", "error"):
        assert [row[column] for row in found] == [row[column] for row in expected], column
    for column in set(expected[0]) - {"path", "p_value", "label", "regions", "error"}:
        ours, theirs = (np.array([float(r[column]) for r in t]) for t in (expected, found))
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="session")
def exported(build_once: Callable[..., Path], trained: Path) -> Path:
    """Return a folder with the ``model.onnx`` of the trained run, and its runner."""

    def fill(folder: Path) -> None:
        words = ["--run", trained, "--output", folder / "model.onnx", "--runner"]
        assert main(["export", *map(str, words)]) == 0

    return build_once("exported", fill)


def test_the_runner_scores_files_as_bigan_score_without_bigan(
    exported: Path, trained: Path, pictures: Path, bigan: Callable[..., object]
) -> None:
    expected = rows(bigan("score", pictures, "--run", trained).out)
    found = rows(run_without_bigan(exported / "run_onnx.py", exported / "model.onnx", pictures))
    assert {row["label"] for row in expected} == {"normal", "anomaly"}
    check_same_rows(expected, found)


def test_a_run_of_another_rate_labels_by_the_p_value(
    exported: Path, trained: Path, pictures: Path, bigan: Callable[..., object]
) -> None:
    expected = rows(bigan("score", pictures, "--run", trained, "--fpr", "0.2").out)
    words = (exported / "model.onnx", pictures, "--fpr", "0.2")
    found = rows(run_without_bigan(exported / "run_onnx.py", *words))
    assert [row["label"] for row in found] == [row["label"] for row in expected]


def test_the_file_says_what_it_takes_and_where_it_is_from(exported: Path, trained: Path) -> None:
    session = onnxruntime.InferenceSession(
        str(exported / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (images,) = session.get_inputs()
    assert (images.name, images.type, images.shape[1:]) == ("images", "tensor(uint8)", [8, 8, 1])
    assert not isinstance(images.shape[0], int)  # any number
    outputs = {output.name: output.type for output in session.get_outputs()}
    assert list(outputs) == ["score", "p_value", "label", "components", "heatmap"]
    assert outputs["label"] == "tensor(int64)"
    metadata = session.get_modelmeta().custom_metadata_map
    detector = bigan.load(trained, device="cpu")
    assert json.loads(metadata["bigan.threshold"]) == detector.threshold()
    assert json.loads(metadata["bigan.fpr"]) == detector.fpr
    assert json.loads(metadata["bigan.input_shape"]) == ["N", 8, 8, 1]
    assert json.loads(metadata["bigan.config"])["data"]["outlier"] == [8]
    assert json.loads(metadata["bigan.components"]) == list(detector.component_names)
    assert len(metadata["bigan.model_sha256"]) == 64


def test_a_file_it_cannot_read_gets_a_row_with_the_reason(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    script = exported / "run_onnx.py"
    done = subprocess.run(
        [sys.executable, script, exported / "model.onnx", tmp_path],
        capture_output=True,
        check=False,
        text=True,
    )
    (row,) = rows(done.stdout)
    assert (done.returncode, row["score"], row["label"]) == (1, "", "")
    assert "not a PNG, JPEG, BMP or WebP" in row["error"]


@pytest.mark.parametrize(
    ("options", "model", "images", "message"),
    [
        ((), "missing.onnx", ".", "there is no file missing.onnx"),
        ((), "run_onnx.py", ".", "cannot read run_onnx.py as an ONNX model"),
        ((), "model.onnx", "empty", "there are no images"),
        # Without installed packages.
        (("-I", "-S"), "model.onnx", ".", "numpy is missing"),
    ],
)
def test_wrong_arguments_of_the_runner_are_one_line(
    exported: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    model: str,
    images: str,
    message: str,
) -> None:
    for name in ("run_onnx.py", "model.onnx"):
        shutil.copy(exported / name, tmp_path)
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, *options, "run_onnx.py", model, images],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
    assert errors == [f"error: {message}"]


CLOSE = Comparison(10, 1e-6, 0.0, 1e-6, 0, 1)


@pytest.mark.parametrize(
    "different",
    [
        {"score_difference": 2e-4},
        {"score_difference": float("nan")},
        {"heatmap_difference": 0.01},
        {"labels_differing": 1},
    ],
)
def test_a_difference_is_an_error(different: dict[str, float]) -> None:
    CLOSE.check()
    with pytest.raises(DataError, match="does not match the detector on 10 images"):
        replace(CLOSE, **different).check()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--output", "model.txt"], "must end with '.onnx' or '.pt2'"),
        (["--output", "model.onnx", "--format", "torch"], "not of format 'torch'"),
        (["--format", "tflite"], "no format 'tflite'"),
        (["--format", "torch", "--runner"], "runner of ONNX files only"),
    ],
)
def test_a_wrong_request_is_one_line(
    words: list[str], reason: str, trained: Path, bigan: Callable[..., object]
) -> None:
    outcome = bigan("export", "--run", trained, *words)
    assert outcome.code == 2
    assert reason in outcome.err


def test_without_images_to_compare_on_nothing_is_written(
    run: Path, tmp_path: Path, rewrite_model: Callable[..., None], bigan: Callable[..., object]
) -> None:
    def moved(header: dict, _tensors: dict) -> None:
        header["config"]["data"] |= {"dataset": "folder", "root": str(tmp_path / "gone")}

    rewrite_model(run / "models" / "best.safetensors", moved)
    output = tmp_path / "model.onnx"
    outcome = bigan("export", "--run", run, "--output", output)
    assert outcome.code == 1
    assert "no images to compare the exported model with the detector on" in outcome.err
    assert not output.exists()


@pytest.mark.slow
def test_an_ensemble_as_a_torch_file(
    ensemble: Path, tmp_path: Path, bigan: Callable[..., object]
) -> None:
    import torch

    output = tmp_path / "model.pt2"
    outcome = bigan("export", "--run", ensemble, "--output", output, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["comparison"]["labels_differing"] == 0
    extra = {"bigan.json": ""}
    module = torch.export.load(output, extra_files=extra).module()
    assert json.loads(json.loads(extra["bigan.json"])["bigan.input_shape"]) == ["N", 8, 8, 1]
    assert module(torch.zeros(3, 8, 8, 1, dtype=torch.uint8))["score"].shape == (3,)


@pytest.mark.slow
def test_a_model_on_features(
    photographs: Path, tmp_path: Path, bigan: Callable[..., object]
) -> None:
    run, output = photographs / "run", tmp_path / "model.onnx"
    outcome = bigan("export", "--run", run, "--output", output, "--runner")
    assert outcome.code == 0, outcome.err
    expected = rows(bigan("score", photographs / "test", "--run", run).out)
    found = rows(run_without_bigan(tmp_path / "run_onnx.py", output, photographs / "test"))
    check_same_rows(expected, found)


@pytest.mark.slow
def test_a_detector_from_python_with_a_region_of_interest(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (150, 16, 16), np.uint8)
    (tmp_path / "good").mkdir()
    from PIL import Image

    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "good" / f"{number}.png")
    detector = bigan.train(
        tmp_path / "good",
        save_dir=tmp_path / "run",
        epochs=1,
        device="cpu",
        roi=[[[2, 2], [13, 2], [13, 13], [2, 13]]],
        image_size=16,
        model={"architecture": "dcgan", "options": {"feature_maps_gen": 4, "feature_maps_disc": 4}},
    )
    result = detector.export(tmp_path / "model.onnx")
    assert "calibration images" in result.compared_on
    session = onnxruntime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    changed = images[:8].copy()
    changed[:, 0] = 255 - changed[:, 0]
    heat, score = session.run(["heatmap", "score"], {"images": images[:8, ..., None]})
    same_heat, same_score = session.run(["heatmap", "score"], {"images": changed[..., None]})
    np.testing.assert_array_equal(score, same_score)
    np.testing.assert_array_equal(heat, same_heat)
    assert not heat[:, 0].any()


UNTRACEABLE = '''
from bigan_cli.contracts import ScoreComponent
from bigan_cli.hookspecs import hookimpl


class Sharp(ScoreComponent):
    """Values that leave torch."""

    name = "sharp"
    summary = "for a test"

    def score(self, outputs, fitted):
        import torch

        return torch.from_numpy(outputs.x.numpy().mean(axis=(1, 2, 3)))


@hookimpl
def bigan_score_components():
    return [Sharp]
'''


@pytest.mark.slow
def test_a_component_that_leaves_torch_is_named(
    tmp_path: Path, small_options: tuple[str, ...], bigan: Callable[..., object]
) -> None:
    plugin = tmp_path / "sharp.py"
    plugin.write_text(UNTRACEABLE)
    run, output = tmp_path / "run", tmp_path / "model.pt2"
    words = ("--plugin", plugin, "--set", "score.components=['sharp']", "--outlier", "8")
    assert bigan("train", *words, *small_options, "--save-dir", run).code == 0
    outcome = bigan("export", "--run", run, "--plugin", plugin, "--output", output)
    assert outcome.code == 2
    assert "sharp" in outcome.err
    assert not output.exists()


@pytest.mark.slow
def test_the_program_in_cpp_scores_as_the_model_does(
    exported: Path,
    trained: Path,
    pictures: Path,
    onnxruntime_release: Path | None,
    tmp_path: Path,
    bigan: Callable[..., object],
) -> None:
    if onnxruntime_release is None:
        pytest.skip("no g++, or no headers of ONNX Runtime: .ci/install-onnxruntime-headers")
    from PIL import Image

    images = [tmp_path / f"{i}.pgm" for i in range(20)]
    for picture, image in zip(sorted(pictures.glob("*.png")), images, strict=False):
        Image.open(picture).save(image)
    include, lib = (f"{onnxruntime_release}/{name}" for name in ("include", "lib"))
    program = tmp_path / "run_onnx"
    words = ["-std=c++17", "-Wall", "-Wextra", "-Werror", exported / "run_onnx.cpp", "-o", program]
    words += ["-I", include, "-L", lib, f"-Wl,-rpath,{lib}", "-lonnxruntime"]
    subprocess.run(["g++", *map(str, words)], check=True)
    command = [program, exported / "model.onnx", *images]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    expected, found = rows(bigan("score", *images, "--run", trained).out), rows(done.stdout)
    for column in ("path", "label"):
        assert [row[column] for row in found] == [row[column] for row in expected]
    for column in ("score", "p_value"):
        theirs, ours = ([float(row[column]) for row in table] for table in (found, expected))
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
