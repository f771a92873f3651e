"""``bigan train --dataset shards`` gives one run from any store, whole or resumed."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from bigan_cli.cli.main import main

# At 64x64 pixels the buffer of one megabyte holds 244 of the images.
OPTIONS = (
    *("--dataset", "shards", "--image-size", 64, "--epochs", 2, "--latent-dim", 6),
    *("--feature-maps-gen", 4, "--feature-maps-disc", 4, "--device", "cpu"),
    *("--set", "data.shuffle_buffer_mb=1", "--set", "output.preview_images=2"),
)


def contents(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def digit_members(numbers: range) -> dict[str, bytes]:
    from sklearn.datasets import load_digits

    digits = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    return {f"{i:04d}.png": contents(Image.fromarray(digits[i])) for i in numbers}


@pytest.fixture(scope="module")
def shards(tmp_path_factory, write_tar) -> Path:
    """Return a folder of four shards with 150 digits each."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(4):
        numbers = range(150 * shard, 150 * shard + 150)
        write_tar(folder / f"{shard:03d}.tar", digit_members(numbers))
    return folder


def urls(where: object) -> tuple[str, str]:
    return "--set", f"data.options.urls={where}"


@pytest.fixture(scope="module")
def whole(shards, tmp_path_factory) -> Path:
    """Return the run on the shards that is not interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    words = ("train", *OPTIONS, *urls(shards), "--save-dir", run)
    assert main([str(word) for word in words]) == 0
    return run


def learned(run: Path) -> dict[str, Any]:
    """Return what must be equal: the tensors of all models, and the losses."""
    found: dict[str, Any] = {}
    for path in sorted((run / "models").glob("*.safetensors")):
        found[path.name] = {key: value.tobytes() for key, value in load_file(path).items()}
    rows = map(json.loads, (run / "stats" / "metrics.jsonl").read_text().splitlines())
    found["losses"] = [(row["epoch"], row["losses"], row["validation"]) for row in rows]
    found["data"] = json.loads((run / "run.json").read_text())["data"]
    return found


def test_a_run_reads_all_images_in_parts_and_scores(bigan, whole, shards) -> None:
    data = learned(whole)["data"]
    assert data["images"] == {"train": 440, "validation": 60, "calibration": 100, "test": 0}
    assert data["protocol"] == "folder"
    done = bigan("score", shards / "000.tar", "--run", whole, "--device", "cpu")
    assert done.code == 0
    assert len(done.lines) == 151


@pytest.mark.slow
def test_shards_in_a_store_give_the_same_bytes_with_and_without_a_cache(
    bigan, whole, shards, tmp_path
) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for file in shards.glob("*.tar"):
        store.pipe_file(f"/train-shards/{file.name}", file.read_bytes())
    for number, cache in enumerate((0, 1, 1)):
        run = tmp_path / str(number)
        pattern = urls("memory://train-shards/{000..003}.tar")
        more = ("--set", f"data.block_cache_gb={cache}", "--save-dir", run)
        done = bigan("train", *OPTIONS, *pattern, *more)
        assert done.code == 0, done.err
        assert learned(run) == learned(whole)


# Where a process is stopped: right before a step.
STEP = ("bigan_cli.model.trainer", "Trainer._advance")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_in_an_epoch_and_resumed_elsewhere_ends_the_same(
    bigan, start_bigan, whole, shards, tmp_path, monkeypatch, sent, code
) -> None:
    run = tmp_path / "run"
    # 440 images are 6 steps of 64 an epoch; a few steps are tried before the first one.
    words = ("train", *OPTIONS, *urls(os.path.relpath(shards)), "--save-dir", run)
    process = start_bigan(*words, signal_at=(*STEP, 14, sent))
    assert process.end() == code, process.err
    trained = json.loads((run / "run.json").read_text())["epoch"]
    assert trained == 1
    monkeypatch.chdir(tmp_path)
    resumed = bigan("train", "--resume", "--save-dir", "run")
    assert resumed.code == 0, resumed.err
    assert learned(run) == learned(whole)


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert "Traceback" not in err
    assert len(lines) == 1, err
    return lines[0]


@pytest.fixture
def damaged(tmp_path, write_tar) -> Path:
    """Return a shard of 100 digits and six images that cannot be read, one of them excluded."""
    members = digit_members(range(100)) | {f"a/{i}.png": b"no picture" for i in range(6)}
    return write_tar(tmp_path / "damaged.tar", members)


def warned_of(err: str) -> set[int]:
    """Return which of the images of :func:`damaged` warnings name."""
    return {i for i in range(6) if f"tar://a/{i}.png::" in err}


# The sample in memory is small: other images are first read while the networks train.
SMALL_SAMPLE = {
    ("bigan_cli.data.streamed_parts", "_LEAST_PART"): 12,
    ("bigan_cli.data.streamed_parts", "_PART_BYTES"): 0,
}


@pytest.fixture
def small_sample(monkeypatch) -> None:
    """Apply :data:`SMALL_SAMPLE` to this process."""
    for (module, name), value in SMALL_SAMPLE.items():
        monkeypatch.setattr(f"{module}.{name}", value)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.slow
def test_images_that_cannot_be_read_are_left_out_with_a_warning(
    bigan, tmp_path, damaged, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "exclude.txt").write_text(f"tar://a/5.png::{damaged}\n")
    more = (*urls(damaged), "--exclude", tmp_path / "exclude.txt", "--fpr", 0.2)
    runs = []
    for cache in (0, 1, 1):
        runs.append(tmp_path / f"run-{len(runs)}")
        cached = ("--set", f"data.block_cache_gb={cache}", "--save-dir", runs[-1])
        done = bigan("train", *OPTIONS, *more, *cached)
        assert done.code == 0, done.err
        # Number 0 is held out and not in memory, 4 is in the sample.
        assert warned_of(done.err) == {1, 2, 3, 4}, done.err
        assert "training image that cannot be read" in done.err.replace("images", "image")
        assert "(not an image in a known format)" in done.err
    assert learned(runs[0]) == learned(runs[1]) == learned(runs[2])
    assert learned(runs[0])["data"]["images"]["train"] == 64  # without the excluded one


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.usefixtures("small_sample")
def test_a_run_with_unreadable_images_that_is_killed_and_resumed_ends_the_same(
    bigan, start_bigan, tmp_path, shards, damaged, monkeypatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("train", *OPTIONS, *urls(f"{shards},{damaged}"), "--fpr", 0.2, "--save-dir")
    cached = "data.block_cache_gb={}".format
    whole = bigan(*words, tmp_path / "whole", "--set", cached(0))
    assert whole.code == 0, whole.err
    assert warned_of(whole.err)
    for limit in (0, 1):
        run = tmp_path / f"run-{limit}"
        # In the second epoch: after 4 steps that are tried, and 8 of the first one.
        process = start_bigan(
            *(*words, run, "--set", cached(limit)),
            signal_at=(*STEP, 15, signal.SIGKILL),
            constants=SMALL_SAMPLE,
        )
        assert process.end() == -signal.SIGKILL, process.err
        assert json.loads((run / "run.json").read_text())["epoch"] == 1
        assert any((tmp_path / "cache" / "bigan").glob("blocks/*.npy")) == bool(limit)
        resumed = bigan("train", "--resume", "--save-dir", run)
        assert resumed.code == 0, resumed.err
        assert warned_of(resumed.err) == warned_of(whole.err)
        assert learned(run) == learned(tmp_path / "whole")


def test_training_ends_where_many_images_cannot_be_read(bigan, tmp_path, write_tar) -> None:
    members = digit_members(range(80)) | {f"a/{i}.png": b"no picture" for i in range(20)}
    shard = write_tar(tmp_path / "a.tar", members)
    done = bigan("train", *OPTIONS, *urls(shard), "--save-dir", tmp_path / "run")
    assert done.code == 1
    assert "cannot read 20 of 100 images: tar://a/" in one_line(done.err)
    assert "and 15 more" in one_line(done.err)


@pytest.mark.slow
def test_a_shard_that_changed_is_refused_on_resuming(bigan, tmp_path, write_tar, whole) -> None:
    shard = write_tar(tmp_path / "a.tar", digit_members(range(120)))
    run = tmp_path / "run"
    assert bigan("train", *OPTIONS, *urls(shard), "--save-dir", run).code == 0
    again = ("train", "--resume", "--save-dir", run, "--epochs", 3)
    write_tar(shard, digit_members(range(1, 121)))
    done = bigan(*again)
    assert done.code != 0
    assert "the images of shards are not those that" in one_line(done.err)
    shard.unlink()
    done = bigan(*again)
    assert done.code == 2
    assert one_line(done.err) == f"error: no such file: {shard}"
    write_tar(shard, digit_members(range(120)))
    assert bigan(*again).code == 0


@pytest.mark.parametrize("options", [("--tile", 64), ("--set", "data.calibration=cross-fitting")])
def test_what_needs_all_images_is_refused(bigan, shards, tmp_path, options) -> None:
    done = bigan("train", *OPTIONS, *urls(shards), *options, "--save-dir", tmp_path / "run")
    assert done.code == 2
    assert "are read again in every epoch" in one_line(done.err)
    assert not (tmp_path / "run").exists()


# Networks on features


def test_few_images_in_shards_are_not_advised_to_cross_fit(bigan, tmp_path, write_tar) -> None:
    write_tar(tmp_path / "few.tar", digit_members(range(40)))
    done = bigan("train", *OPTIONS, *urls(tmp_path / "few.tar"), "--save-dir", tmp_path / "run")
    assert done.code == 1
    assert "error: a false-positive rate of 0.05 needs at least 19 calibration images" in done.err
    assert "cross-fitting" not in done.err


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory, write_tar) -> Path:
    """Return a folder of two shards with 60 photographs of a striped surface each."""
    folder = tmp_path_factory.mktemp("surfaces")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:72, :96]
    for shard in range(2):
        members = {}
        for i in range(60):
            stripes = 120 + 50 * np.sin((columns + rows) / 5 + random.uniform(0, 2 * np.pi))
            pixels = stripes[..., None] + random.normal(0, 6, (72, 96, 3))
            members[f"{i}.png"] = contents(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
        write_tar(folder / f"{shard}.tar", members)
    return folder


FEATURES = (
    *("--dataset", "shards", "--epochs", 2, "--device", "cpu"),
    *("--set", "data.image_size=[72, 96]", "--set", "data.shuffle_buffer_mb=1"),
    *("--set", "train.min_epoch_steps=3", "--set", "train.max_epoch_steps=3"),
    *("--set", "output.preview_images=2", "--no-self-test", "--fpr", 0.1),
)


def shown_config(bigan, *words: object) -> tuple[dict[str, Any], str]:
    """Return the configuration of a run, and what was said of it."""
    done = bigan("config", "show", "--json", *words)
    assert done.code == 0, done.err
    return json.loads(done.out)["config"], done.err


def test_photographs_in_shards_choose_the_networks_of_those_in_a_folder(
    bigan, surfaces, tmp_path, monkeypatch
) -> None:
    with tarfile.open(surfaces / "0.tar") as tar:
        tar.extractall(tmp_path / "photos", filter="data")
    root = f"data.root={tmp_path / 'photos'}"
    of_folder, said_of_folder = shown_config(bigan, "--set", "data.dataset=folder", "--set", root)
    in_shards = ("--set", "data.dataset=shards")
    monkeypatch.setenv("BIGAN_DATA_DIR", str(surfaces))
    for where in (urls(surfaces), ("--set", f"data.root={surfaces / '1.tar'}"), ()):
        of_shards, said = shown_config(bigan, *in_shards, *where)
        assert said == said_of_folder
        assert "photographs (about 96 pixels wide): features of a pretrained network" in said
        assert of_shards["model"] == of_folder["model"]
        assert of_shards["train"] == of_folder["train"]
        assert of_shards["data"]["image_size"] == of_folder["data"]["image_size"] == [256, 336]
    chosen = ("--set", "data.image_size=64", "--set", "model.architecture=dcgan")
    of_shards, said = shown_config(bigan, *in_shards, *chosen)
    assert not said
    assert of_shards["model"]["architecture"] == "dcgan"
    assert of_shards["data"]["image_size"] == 64


def test_small_images_in_shards_are_trained_on_pixels(bigan, shards) -> None:
    config, said = shown_config(bigan, "--set", "data.dataset=shards", *urls(shards))
    assert not said
    assert config["model"]["architecture"] == "dcgan"


def test_a_configuration_for_shards_that_are_not_here_is_shown(bigan, tmp_path) -> None:
    missing = tmp_path / "missing.tar"
    config, said = shown_config(bigan, "--set", "data.dataset=shards", *urls(missing))
    assert f"the sizes of the images were not found (cannot read {missing}: no such file)" in (
        " ".join(said.split())
    )
    assert config["model"]["architecture"] == "dcgan"


@pytest.mark.slow
def test_features_are_computed_once_for_each_image_and_are_the_same_from_the_cache(
    bigan, start_bigan, surfaces, tmp_path, monkeypatch
) -> None:
    from bigan_cli.model.feature_stream import FeatureStream

    computed = []
    extract = FeatureStream._extract

    def counted(self: FeatureStream, piece: int, pixels: Any) -> Any:
        computed.append(len(pixels))
        return extract(self, piece, pixels)

    monkeypatch.setattr(FeatureStream, "_extract", counted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runs = []
    for cache in (0, 1, 1):
        computed.clear()
        runs.append(tmp_path / f"run-{len(runs)}")
        more = ("--set", f"data.block_cache_gb={cache}", "--save-dir", runs[-1])
        done = bigan("train", *FEATURES, *urls(surfaces), *more)
        assert done.code == 0, done.err
        if len(runs) == 2:
            images = json.loads((runs[-1] / "run.json").read_text())["data"]["images"]
            assert 0 < sum(computed) <= images["train"]
    assert not computed
    assert learned(runs[0]) == learned(runs[1]) == learned(runs[2])
    stopped = tmp_path / "stopped"
    words = ("train", *FEATURES, *urls(surfaces), "--save-dir", stopped)
    process = start_bigan(*words, signal_at=(*STEP, 9, signal.SIGINT))
    assert process.end() == 130, process.err
    assert bigan("train", "--resume", "--save-dir", stopped).code == 0
    assert learned(stopped) == learned(runs[0])


@pytest.mark.slow
def test_shards_in_s3_give_the_same_bytes(bigan, whole, shards, tmp_path, s3_server) -> None:
    import s3fs

    store = s3fs.S3FileSystem()
    store.mkdir("bigan-shards")
    for file in shards.glob("*.tar"):
        store.put_file(str(file), f"bigan-shards/train/{file.name}")
    run = tmp_path / "run"
    done = bigan("train", *OPTIONS, *urls("s3://bigan-shards/train/*.tar"), "--save-dir", run)
    assert done.code == 0, done.err
    assert learned(run) == learned(whole)
