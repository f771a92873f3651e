"""Damaged model files: refused in one line, or harmless; never other scores, never a crash."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.load import load_config
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.errors import BiganError, DataError, UsageError
from bigan_cli.model.networks import build_networks
from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours
from bigan_cli.scoring.components.reconstruction import Reconstruction
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.storage.checksum import UNKNOWN, insert_checksum
from bigan_cli.storage.model_file import load_detector, make_header, save_detector
from bigan_cli.storage.model_header import FORMAT, read_header

CPU = torch.device("cpu")
SETTINGS = {
    "model.latent_dim": 8,
    "model.options": {"feature_maps_gen": 8, "feature_maps_disc": 8},
    "score.components": ["latent_neighbours", "reconstruction"],
}
LOADED = load_config(settings=SETTINGS)
# Values of every type, some huge, to put in place of any value of a header.
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**30, -0.5, 1e308, float("nan"), float("inf"), "", "x", [], [0], {},
    {"x": 1}, [[[[1]]]],
)  # fmt: skip


@pytest.fixture(scope="module")
def pixels():
    slant = np.random.default_rng(0).uniform(0, 1, (90, 1, 1, 8)) * np.linspace(0, 1, 8)[:, None]
    return (255 * slant).astype(np.uint8)


@pytest.fixture(scope="module")
def model(pixels, tmp_path_factory) -> bytes:
    networks = build_networks(
        Dcgan(DcganOptions(feature_maps_gen=8, feature_maps_disc=8)), ImageShape(1, 8, 8), 8, seed=0
    )
    components = [
        LatentNeighbours(LatentNeighbours.Options()),
        Reconstruction(Reconstruction.Options()),
    ]
    normals = NormalImages(pixels[:40], pixels[40:60], pixels[60:])
    detector = fit_detector(networks, components, {}, normals, fpr=0.1, batch_size=16, seed=0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    header = make_header(
        detector,
        config=LOADED.config,
        class_names=("slant",),
        normal_classes=(0,),
        preprocessing=PREPROCESSING,
        fingerprint="0",
    )
    save_detector(path, detector, header)
    return path.read_bytes()


def scores_of(path: Path, data: bytes, pixels) -> np.ndarray:
    path.write_bytes(data)
    return load_detector(path, CPU, LOADED.registry).score(pixels).score


# Accidents


def damage(data: bytes, rng: random.Random) -> bytes:
    """Return *data* with random damage: flipped bits, a cut, zeros, or bytes of elsewhere."""
    header = 8 + struct.unpack("<Q", data[:8])[0]
    # Half of the damage is to the header, which is small.
    at = rng.randrange(header if rng.random() < 0.5 else len(data))
    end = min(len(data), at + rng.choice((1, 8, 64, 4096)))
    bits = bytearray(data)
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice((1, 1, 3))):
                where = rng.randrange(at, end)
                bits[where] ^= 1 << rng.randrange(8)
        case 1:
            del bits[at:]
        case 2:
            bits[at:] = bytes(len(bits) - at)
        case 3:
            bits[at:end] = rng.randbytes(end - at)
        case 4:
            del bits[at:end]
        case 5:
            bits[at:at] = rng.randbytes(end - at)
    return bytes(bits)


def check_accidents(model: bytes, path: Path, count: int) -> None:
    rng = random.Random(0)
    for _ in range(count):
        damaged = damage(model, rng)
        if damaged == model:
            continue
        path.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            load_detector(path, CPU, LOADED.registry)
        assert str(path) in caught.value.message
        assert "damaged" in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_accidents_are_refused(model, tmp_path, count):
    check_accidents(model, tmp_path / "model.safetensors", count)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100])
def test_a_file_that_is_cut_short_is_refused(model, tmp_path, size):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model[:size])
    with pytest.raises(DataError, match="damaged"):
        read_header(path)


def test_tensors_written_anew_by_another_program_are_refused(model, tmp_path, pixels):
    tensors = {name: torch.zeros_like(tensor) for name, tensor in load(model).items()}
    data = save(tensors, metadata={FORMAT: json.dumps(header_of(model))})
    with pytest.raises(DataError, match="checksum does not match"):
        scores_of(tmp_path / "model.safetensors", data, pixels)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(DataError, match="a named pipe, not a file"):
        read_header(tmp_path / "pipe.safetensors")
    with pytest.raises(DataError, match="a folder, not a file"):
        read_header(tmp_path)
    with pytest.raises(UsageError, match="no such model file"):
        read_header(tmp_path / "none.safetensors")


def test_a_file_larger_than_the_memory_is_refused(tmp_path):
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.truncate(2**42)  # a hole
    with pytest.raises(DataError, match="it is larger than the memory"):
        read_header(path)


def test_other_files_are_refused_as_what_they_are(model, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"x": torch.zeros(1)}))
    with pytest.raises(DataError, match="not a model file of bigan"):
        read_header(path)
    header = header_of(model) | {"schema": 99, "bigan_version": "9.9"}
    path.write_bytes(insert_checksum(sealable(header, load(model))))
    with pytest.raises(DataError, match="model format 99") as caught:
        read_header(path)
    assert "bigan 9.9: update" in caught.value.hint


def test_the_checksum_identifies_the_file(model, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model)
    sha256 = read_header(path).sha256
    assert model.count(sha256.encode()) == 1
    assert insert_checksum(model.replace(sha256.encode(), UNKNOWN.encode())) == model


# Files that were changed on purpose, with a valid checksum


def header_of(model: bytes) -> dict[str, Any]:
    length = struct.unpack("<Q", model[:8])[0]
    return json.loads(json.loads(model[8 : 8 + length])["__metadata__"][FORMAT])


def sealable(header: dict[str, Any] | str, tensors: dict[str, torch.Tensor]) -> bytes:
    text = header if isinstance(header, str) else json.dumps(header | {"sha256": UNKNOWN})
    return save(tensors, metadata={FORMAT: text})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each value within a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return copy


def check_headers(model: bytes, path: Path, pixels, step: int) -> None:
    header, tensors = header_of(model), load(model)
    changes = [(place, value) for place in places(header) for value in STRANGE]
    for place, value in changes[::step]:
        if place == ("sha256",):
            continue
        data = insert_checksum(sealable(replaced(header, place, value), tensors))
        try:
            assert np.isfinite(scores_of(path, data, pixels[:2])).all(), (place, value)
        except BiganError as error:
            assert len(error.message) < 1000, (place, value)  # noqa: PT017
            assert "\n" not in error.message, (place, value)  # noqa: PT017


@pytest.mark.parametrize("step", [61, pytest.param(3, marks=pytest.mark.slow)])
def test_headers_with_other_values_are_refused_or_harmless(model, tmp_path, pixels, step):
    check_headers(model, tmp_path / "model.safetensors", pixels, step)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("batch_size",), -1),
        (("batch_size",), 10**12),
        (("batch_size",), 60_000),
        (("batch_size",), True),
        (("default_fpr",), 2),
        (("image_shape", "height"), 10**9),
        (("normal_classes",), [7]),
        (("members",), []),
        (("members", 0, "components"), {}),
        (("members", 0, "components", "reconstruction", "scale"), 0.0),
        (("members", 0, "components", "reconstruction", "scale"), float("nan")),
        (("members", 0, "components", "reconstruction", "weight"), -1.0),
        (("heads",), {"x": 10**12}),
        (("config", "model", "latent_dim"), "8"),
    ],
)
def test_a_value_out_of_range_is_named(model, tmp_path, pixels, place, value):
    data = insert_checksum(sealable(replaced(header_of(model), place, value), load(model)))
    with pytest.raises(DataError, match=str(place[0])):
        scores_of(tmp_path / "model.safetensors", data, pixels)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"schema": 3, "preprocessing": ' + "[" * 5000 + "]" * 5000 + "}",
        "[]",
        "null",
        "{}",
        '{"schema": 1e999}',
    ],
)
def test_headers_that_are_no_header_are_refused(model, tmp_path, text):
    mark = f'{{"sha256": "{UNKNOWN}"}}'
    # The checksum may be anywhere in the metadata.
    data = save(load(model), metadata={FORMAT: text, "x": mark})
    path = tmp_path / "model.safetensors"
    path.write_bytes(insert_checksum(data))
    with pytest.raises(DataError, match="damaged"):
        read_header(path)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("calibration.scores", torch.tensor([], dtype=torch.float64)),
        ("calibration.scores", torch.zeros(3)),
        ("calibration.scores", torch.tensor([0.0, np.inf], dtype=torch.float64)),
        ("calibration.scores", torch.zeros(3, 3, dtype=torch.float64)),
        ("calibration.scores", None),
    ],
)
def test_calibration_scores_are_checked(model, tmp_path, pixels, name, tensor):
    tensors = load(model)
    del tensors[name]
    if tensor is not None:
        tensors[name] = tensor
    data = insert_checksum(sealable(header_of(model), tensors))
    with pytest.raises(DataError, match=r"calibration.scores"):
        scores_of(tmp_path / "model.safetensors", data, pixels)


@pytest.mark.parametrize("change", ["one point", "narrow bank", "float8", "complex"])
def test_fitted_tensors_that_do_not_fit_are_refused(model, tmp_path, pixels, change):
    tensors = load(model)
    name = "members.0.fitted.latent_neighbours.bank"
    bank = tensors[name]
    tensors[name] = {
        "one point": bank[0].clone(),
        "narrow bank": bank[:, :-1].contiguous(),
        "float8": bank.to(torch.float8_e4m3fn),
        "complex": bank.to(torch.complex64),
    }[change]
    data = insert_checksum(sealable(header_of(model), tensors))
    with pytest.raises(DataError, match="latent_neighbours"):
        scores_of(tmp_path / "model.safetensors", data, pixels[:2])


@pytest.mark.parametrize(
    ("table", "key", "size"),
    [
        ("model", "latent_dim", 4096),
        ("options", "feature_maps_gen", 512),
        ("options", "feature_maps_disc", 512),
    ],
)
def test_networks_larger_than_their_weights_are_not_built(
    model, tmp_path, pixels, table, key, size, monkeypatch
):
    header = header_of(model)
    config = header["config"]["model"]
    (config if table == "model" else config["options"])[key] = size
    allocated = []
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda *_: allocated.append(1))
    data = insert_checksum(sealable(header, load(model)))
    with pytest.raises(BiganError, match="does not fit architecture 'dcgan'"):
        scores_of(tmp_path / "model.safetensors", data, pixels[:2])
    assert not allocated


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_tensors_of_the_networks_are_checked(model, tmp_path, pixels, step):
    path = tmp_path / "model.safetensors"
    networks = [(n, t) for n, t in load(model).items() if ".networks." in n and t.dim()]
    for name, tensor in networks[::step]:
        for other in (
            None,
            tensor[..., :-1],
            tensor.flatten()[:0],
            torch.full_like(tensor, np.inf),
        ):
            tensors = load(model)
            del tensors[name]
            if other is not None:
                tensors[name] = other.contiguous()
            data = insert_checksum(sealable(header_of(model), tensors))
            with pytest.raises(BiganError, match=str(path)):
                scores_of(path, data, pixels[:2])


def test_the_hint_suits_a_single_file_and_one_of_a_run(tmp_path: Path) -> None:
    models = tmp_path / "run" / "models"
    models.mkdir(parents=True)
    (models.parent / "run.json").write_text("{}")
    for file, hint in (
        (tmp_path / "model.safetensors", "else name another model file"),
        (models / "best.safetensors", f"else take another of {models.parent}: 'checkpoint=last'"),
    ):
        file.write_bytes(b"damaged")
        with pytest.raises(DataError) as caught:
            read_header(file)
        assert str(caught.value.hint).endswith(hint)
