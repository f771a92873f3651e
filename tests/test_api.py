"""The Python API: the same image scores the same bits in any container."""

import pickle
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import bigan_cli as bigan
from bigan_cli.cli.main import main
from bigan_cli.plugins import load_registry
from bigan_cli.workflows.in_memory import with_images

SEED = np.random.default_rng(0)


def picture(mode, size=(23, 31)):
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    return Image.fromarray(SEED.integers(0, 256, (*size, *channels)).astype(np.uint8))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "run"
    words = ["--save-dir", folder, "--epochs", "1", "--image-size", "16", "--latent-dim", "4"]
    maps = ["--feature-maps-gen", "4", "--feature-maps-disc", "4", "--device", "cpu"]
    assert main(["train", *map(str, [*words, *maps])]) == 0
    return folder


@pytest.fixture(scope="module")
def detector(run):
    return bigan.load(run, device="cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, mode in enumerate(["L", "RGB", "RGBA", "L", "RGB", "L", "RGB"]):
        picture(mode, (20 + number, 31)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def expected(detector, files):
    return detector.score(files)


CONTAINERS = {
    "list of texts": lambda paths: [str(path) for path in paths],
    "tuple of paths": tuple,
    "generator": lambda paths: (path for path in paths),
    "PIL images, not loaded": lambda paths: [Image.open(path) for path in paths],
    "PIL images": lambda paths: [Image.open(path).copy() for path in paths],
    "arrays": lambda paths: [np.asarray(Image.open(path)) for path in paths],
    "mixed": lambda paths: [paths[0], Image.open(paths[1]), *paths[2:]],
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_image_scores_the_same_bits_in_any_container(detector, files, expected, container):
    images = CONTAINERS[container](sorted(files.iterdir()))
    found = detector.score(images)
    assert np.array_equal(found.score, expected.score)
    assert np.array_equal(found.p_value, expected.p_value)
    assert len(found) == len(found.names) == 7


def test_alone_as_in_a_batch_of_seven(detector, files, expected):
    for number, path in enumerate(sorted(files.iterdir())):
        for image in (path, str(path), Image.open(path), np.asarray(Image.open(path))):
            assert detector.score(image).score.tolist() == [expected.score[number]]


def test_bigan_score_prints_the_same(run, files, expected, capfd):
    capfd.readouterr()
    code = main(["score", str(files), "--run", str(run), "--device", "cpu"])
    printed = capfd.readouterr()
    assert code == 0, printed.err
    rows = [line.split(",") for line in printed.out.splitlines()]
    column = rows[0].index("score")
    assert [float(row[column]) for row in rows[1:]] == expected.score.tolist()
    assert [row[0] for row in rows[1:]] == list(expected.names)


def test_in_several_threads_without_changing_theirs(detector, files, expected):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _: detector.score(files), range(8)):
                assert np.array_equal(found.score, expected.score)
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (torch.get_num_threads(), later) == (3, [3])
    finally:
        torch.set_num_threads(before)


def scores_of(detector, paths):
    return detector.score(paths).score.tolist()


@pytest.mark.slow
def test_pickled_and_in_a_spawned_process(detector, files, expected):
    copied = pickle.loads(pickle.dumps(detector))
    assert scores_of(copied, files) == expected.score.tolist()
    code = "import pickle,sys;d,f=pickle.load(sys.stdin.buffer);print(d.score(f).score.tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((detector, files)),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == str(expected.score.tolist())


def test_saved_and_loaded_again(detector, run, files, expected, tmp_path):
    detector.save(tmp_path / "model.safetensors")
    written = (tmp_path / "model.safetensors").read_bytes()
    assert written == (run / "models" / "best.safetensors").read_bytes()
    again = bigan.load(tmp_path / "model.safetensors", device="cpu")
    assert np.array_equal(again.score(files).score, expected.score)


def test_evaluating_a_run(run, tmp_path):
    result = bigan.evaluate(run, device="cpu", output=tmp_path / "evaluation")
    assert 0 <= result.auroc.value <= 1


def test_predict_is_what_p_value_and_threshold_say(detector, files, expected):
    for fpr in (0.05, 0.5):
        anomalous = detector.predict(files, fpr=fpr)
        assert anomalous.dtype == bool
        assert anomalous.tolist() == (expected.p_value <= fpr).tolist()
        assert anomalous.tolist() == (expected.score > detector.threshold(fpr)).tolist()
    middle = float(np.median(expected.score))
    assert detector.predict(files, threshold=middle).sum() == 3
    with pytest.raises(bigan.UsageError, match="calibration images"):
        detector.predict(files, fpr=1e-6)


def test_shapes_of_maps_and_reconstructions(detector, files):
    result = detector.score(files, maps=True)
    assert (result.maps.shape, result.maps.dtype) == ((7, 16, 16), np.float32)
    assert np.array_equal(detector.heatmaps(files), result.maps)
    rebuilt = detector.reconstruct(files)
    assert (rebuilt.shape, rebuilt.dtype) == ((7, 16, 16), np.uint8)


def test_no_images_are_no_scores(detector):
    assert detector.score([]).score.shape == (0,)
    assert detector.predict([]).tolist() == []


def test_a_stack_is_its_images(detector):
    stack = SEED.integers(0, 256, (4, 20, 21)).astype(np.uint8)
    alone = detector.score(list(stack)).score
    assert np.array_equal(detector.score(stack).score, alone)
    assert np.array_equal(detector.score(stack[..., None]).score, alone)


@pytest.mark.parametrize(
    ("images", "builtin", "words"),
    [
        (np.zeros((20, 20)), TypeError, "float64.*uint8"),
        ([np.zeros((20, 20), np.float32)], TypeError, "image 0.*float32"),
        (np.zeros((20, 20), bool), TypeError, "bool.*expected"),
        (np.zeros((20, 20, 2), np.uint8), ValueError, r"\(20, 20, 2\).*expected"),
        (np.zeros(20, np.uint8), ValueError, r"\(20,\)"),
        (np.zeros((2, 3, 20, 20), np.uint8), ValueError, "expected"),
        (np.zeros((0, 20), np.uint8), ValueError, "no pixels"),
        (7, TypeError, "a int is no image: expected a path"),
        (None, TypeError, "NoneType"),
        (b"a.png", TypeError, "bytes"),
        ({"a": 1}, TypeError, "dict"),
        (["a.png", 3], TypeError, "image 1 is a int"),
        ("missing.png", ValueError, "missing.png: no such file"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is_expected(detector, images, builtin, words):
    with pytest.raises(builtin, match=words) as caught:
        detector.score(images)
    assert isinstance(caught.value, bigan.BiganError)


def test_loading_and_scoring_leave_global_state_alone(run, files, capfd):
    import torch

    def state():
        return (
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
            torch.get_num_threads(),
            torch.backends.cudnn.deterministic,
            torch.is_grad_enabled(),
            torch.nn.init.orthogonal_,
        )

    before = state()
    bigan.load(run, device="cpu").score(files)
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_public_names():
    assert set(bigan.__all__) <= set(dir(bigan))
    for name in bigan.__all__:
        assert getattr(bigan, name) is not None
    with pytest.raises(AttributeError, match="no_such"):
        _ = bigan.no_such


def test_import_alone_is_light():
    code = (
        "import sys, time; t = time.process_time(); import bigan_cli; t = time.process_time() - t;"
        "print(t, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    assert all(words[1:] == ["False", "False"] for words in runs)
    assert min(float(words[0]) for words in runs) < 0.1


TINY = {
    "epochs": 1,
    "image_size": 16,
    "latent_dim": 4,
    "device": "cpu",
    "model__options": {"feature_maps_gen": 4, "feature_maps_disc": 4},
}


def test_training_from_python_is_silent_and_leaves_global_state_alone(tmp_path, capfd):
    import torch

    images = [picture("RGB", (20, 24)) for _ in range(60)]
    before = torch.get_rng_state(), torch.get_num_threads(), np.random.get_state()[1].sum()  # noqa: NPY002
    epochs = []
    callbacks = bigan.Callbacks(on_epoch=epochs.append, warn=lambda _text: None)
    trained = bigan.train(images, save_dir=tmp_path / "run", fpr=0.1, callbacks=callbacks, **TINY)
    after = torch.get_rng_state(), torch.get_num_threads(), np.random.get_state()[1].sum()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert len(epochs) == 1
    assert str(trained.image_shape) == "3x16x16"
    assert capfd.readouterr() == ("", "")
    again = bigan.load(tmp_path / "run", device="cpu").score(images[:3])
    assert np.array_equal(trained.score(images[:3]).score, again.score)


@pytest.mark.slow
def test_a_folder_and_its_images_train_the_same(tmp_path):
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(60):
        picture("L").save(folder / f"{number:02}.png")
    paths = sorted(folder.iterdir())
    quiet = bigan.Callbacks(warn=lambda _text: None)
    kept = {"fpr": 0.1, "callbacks": quiet, **TINY}
    one = bigan.train(folder, save_dir=tmp_path / "a", **kept)
    two = bigan.train(paths, save_dir=tmp_path / "b", **kept)
    assert np.array_equal(one.score(paths).score, two.score(paths).score)


@pytest.mark.parametrize("container", ["paths", "PIL", "arrays"])
def test_photographs_get_the_recipe_of_a_folder_of_them(tmp_path, container):
    images = [picture("RGB", (90, 120)) for _ in range(3)]
    registry = with_images(load_registry(), as_given(images, container, tmp_path), ["image"] * 3)
    recipe, reason = registry.dataset("in_memory").preset_for(None, None)
    as_given(images, "paths", tmp_path)
    assert (recipe, reason) == registry.dataset("folder").preset_for(tmp_path, None)
    assert recipe["model"]["architecture"] == "features"
    assert "photographs (about 120 pixels wide)" in reason


def as_given(images, container, folder):
    """Return *images* in a container; "paths" are PNG files in *folder*."""
    if container == "PIL":
        return images
    if container == "arrays":
        return [np.asarray(image) for image in images]
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    return paths


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": 3}, "unknown setting 'epoch'"),
        ({"options": {}}, "'options' is ambiguous"),
        ({"epochs": 2, "train": {"epochs": 3}}, "'train.epochs' is given twice"),
        ({"epochs": "many"}, "train.epochs"),
    ],
)
def test_wrong_settings_are_value_errors_that_name_them(tmp_path, settings, words):
    with pytest.raises(ValueError, match=words):
        bigan.train(save_dir=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_benchmark_trains_and_evaluates_its_cells(tmp_path):
    result = bigan.benchmark(
        tmp_path / "bench", datasets=["digits"], inlier=["3"], sets=["train.epochs=1"], device="cpu"
    )
    (row,) = result.rows
    assert row["status"] == "done"
    assert 0 <= row["auroc"] <= 1
    assert (tmp_path / "bench" / "results.csv").is_file()


def test_a_wrong_grid_is_refused(tmp_path):
    with pytest.raises(bigan.UsageError, match="exclude each other"):
        bigan.benchmark(tmp_path / "bench", inlier=["0"], outlier=["1"])
    assert not (tmp_path / "bench").exists()
