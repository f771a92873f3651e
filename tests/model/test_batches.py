"""Batches from memory and from a mapped file: the same images, in the same order."""

import threading

import numpy as np
import pytest
import torch

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.batches import ResidentBatches, StreamedBatches, make_batches
from bigan_cli.model.networks import build_networks
from bigan_cli.model.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (103, 1, 9, 8), dtype=np.uint8)


@pytest.fixture
def mapped(pixels, tmp_path):
    np.save(tmp_path / "pixels.npy", pixels)
    return np.load(tmp_path / "pixels.npy", mmap_mode="r")


def test_what_is_mapped_from_a_file_is_streamed(pixels, mapped):
    assert isinstance(make_batches(pixels, CPU), ResidentBatches)
    assert isinstance(make_batches(mapped, CPU), StreamedBatches)


@pytest.mark.parametrize("kind", [ResidentBatches, StreamedBatches])
def test_images_come_in_the_order_asked_for(kind, pixels, mapped):
    order = np.random.default_rng(1).permutation(103)[:90]
    for source in (pixels, pixels[::-1][::-1], mapped):
        batches = list(kind(source, CPU).in_order(order, 16))
        assert [len(b) for b in batches] == [16] * 5 + [10]
        assert torch.cat(batches).dtype == torch.uint8
        assert np.array_equal(torch.cat(batches).numpy(), pixels[order])


def test_no_images_no_batches(pixels, mapped):
    nothing = np.empty(0, np.int64)
    assert list(make_batches(pixels, CPU).in_order(nothing, 4)) == []
    assert list(make_batches(mapped, CPU).in_order(nothing, 4)) == []


def test_a_stream_that_is_left_ends_its_thread(mapped):
    before = threading.active_count()
    batches = make_batches(mapped, CPU).in_order(np.arange(103), 4)
    next(batches)
    assert threading.active_count() == before + 1
    batches.close()
    assert threading.active_count() == before


def test_training_from_a_mapped_file_gives_the_same_weights(pixels, mapped):
    def train(fit):
        networks = build_networks(
            Dcgan(DcganOptions(feature_maps_gen=4, feature_maps_disc=4)), ImageShape(1, 9, 8), 5, 0
        )
        trainer = Trainer(networks, TrainConfig(epochs=2, batch_size=16), fit, fit[:20], CPU)
        records = [(r.losses, r.validation) for r in trainer.epochs()]
        return records, trainer.networks.state_dict()

    resident, streamed = train(pixels), train(mapped)
    assert resident[0] == streamed[0]
    for name, value in resident[1].items():
        assert torch.equal(value, streamed[1][name]), name
