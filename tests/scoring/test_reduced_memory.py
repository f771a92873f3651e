"""Detectors that keep less of the normals: the same promises, and smaller model files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.load import load_config
from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode import PREPROCESSING
from bigan_cli.errors import TrainingError
from bigan_cli.model.networks import build_networks
from bigan_cli.scoring.components.discriminator_neighbours import DiscriminatorNeighbours
from bigan_cli.scoring.components.latent_mahalanobis import LatentMahalanobis
from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.storage.model_file import load_detector, make_header, save_detector

REDUCED = {"memory_bank_size": 20, "subsampling": "coreset", "dimensions": 5}
FLAGS = {
    "model.latent_dim": 8,
    "model.options": {"feature_maps_gen": 8, "feature_maps_disc": 8},
    "score.components": ["latent_mahalanobis", "latent_neighbours", "discriminator_neighbours"],
    "score.options": {"latent_neighbours": REDUCED, "discriminator_neighbours": REDUCED},
}


@pytest.fixture(scope="module")
def pixels():
    random = np.random.default_rng(0)
    slant = random.uniform(0, 1, (160, 1, 1, 8)) * np.linspace(0, 1, 8)[:, None]
    return (255 * slant).astype(np.uint8)


def networks():
    dcgan = Dcgan(DcganOptions(feature_maps_gen=8, feature_maps_disc=8))
    return build_networks(dcgan, ImageShape(1, 8, 8), 8, seed=0)


def components(options=REDUCED):
    return [
        LatentMahalanobis(LatentMahalanobis.Options()),
        LatentNeighbours(LatentNeighbours.Options(**options)),
        DiscriminatorNeighbours(DiscriminatorNeighbours.Options(**options)),
    ]


def make(pixels, chosen):
    normals = NormalImages(pixels[:100], pixels[100:130], pixels[130:])
    return fit_detector(networks(), chosen, {}, normals, fpr=0.1, batch_size=16, seed=0)


@pytest.fixture(scope="module")
def detector(pixels):
    return make(pixels, components())


def test_a_coreset_is_chosen_from_more_normals_than_are_kept(pixels):
    seen = []

    class Watched(LatentNeighbours):
        def fit(self, embedded, generator):
            seen.append(len(embedded))
            return super().fit(embedded, generator)

    for selection, size, wanted in (("random", 10, 10), ("coreset", 10, 80), ("coreset", 20, 100)):
        options = LatentNeighbours.Options(memory_bank_size=size, subsampling=selection)
        detector = make(pixels, [Watched(options)])
        assert seen.pop() == wanted
        assert len(detector.members[0].components["latent_neighbours"].fitted["bank"]) == size


@settings(max_examples=20)
@given(data=st.data())
def test_a_score_does_not_depend_on_its_batch(detector, pixels, data):
    chosen = data.draw(st.lists(st.integers(0, len(pixels) - 1), min_size=1, max_size=40))
    together = detector.score(pixels[chosen])
    position = data.draw(st.integers(0, len(chosen) - 1))
    alone = detector.score(pixels[[chosen[position]]])
    assert alone.score[0] == together.score[position]  # to the bit, on CPU
    for name, values in together.components.items():
        assert alone.components[name][0] == values[position]


def test_a_model_file_gives_the_same_scores(detector, pixels, tmp_path):
    loaded = load_config(settings=FLAGS)
    path = tmp_path / "model.safetensors"
    about = {"class_names": ("slant",), "normal_classes": (0,), "preprocessing": PREPROCESSING}
    header = make_header(detector, config=loaded.config, fingerprint="", **about)
    save_detector(path, detector, header)
    again = load_detector(path, torch.device("cpu"), loaded.registry)
    parts = again.members[0].components
    assert parts["latent_neighbours"].component.options.dimensions == 5
    assert parts["discriminator_neighbours"].fitted["bank"].shape == (20, 5)
    kept, read = detector.score(pixels), again.score(pixels)
    np.testing.assert_array_equal(kept.score, read.score)
    for name, values in kept.components.items():
        np.testing.assert_array_equal(values, read.components[name])


def test_dimensions_bound_the_memory(detector, pixels):
    def size(made, name):
        fitted = made.members[0].components[name].fitted
        return sum(t.numel() * t.element_size() for t in fitted.values())

    whole = make(pixels, components({}))
    assert size(detector, "discriminator_neighbours") < size(whole, "discriminator_neighbours") / 5


@pytest.mark.parametrize("number", range(3))
def test_networks_that_have_diverged_are_told(pixels, number):
    broken = networks()
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(float("nan"))
    normals = NormalImages(pixels[:100], pixels[100:130], pixels[130:])
    component = components()[number]
    with pytest.raises(TrainingError, match=f"'{component.name}' is not finite"):
        fit_detector(broken, [component], {}, normals, fpr=0.1, batch_size=16, seed=0)
