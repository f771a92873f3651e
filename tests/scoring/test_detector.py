import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape, Options, ScoreComponent
from bigan_cli.errors import UsageError
from bigan_cli.model.networks import build_networks
from bigan_cli.model.trainer import Trainer
from bigan_cli.scoring.components.discriminator_neighbours import DiscriminatorNeighbours
from bigan_cli.scoring.components.feature_matching import FeatureMatching
from bigan_cli.scoring.components.latent_neighbours import LatentNeighbours
from bigan_cli.scoring.components.reconstruction import Reconstruction
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.normal_images import NormalImages

COMPONENTS = (Reconstruction, FeatureMatching, LatentNeighbours, DiscriminatorNeighbours)


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.round(data.images * 255 / 16).astype(np.uint8)[:, None]
    return pixels, data.target


@pytest.fixture(scope="module")
def normals(digits):
    pixels, labels = digits
    ones = pixels[labels == 1]
    return NormalImages(ones[:110], ones[110:140], ones[140:])


@pytest.fixture(scope="module")
def networks(normals):
    dcgan = Dcgan(DcganOptions(feature_maps_gen=8, feature_maps_disc=8))
    networks = build_networks(dcgan, ImageShape(1, 8, 8), 8, seed=0)
    config = TrainConfig(epochs=15, batch_size=22, lr=3e-3)
    trainer = Trainer(networks, config, normals.train, normals.validation, torch.device("cpu"))
    list(trainer.epochs())
    return trainer.average


def make(networks, normals, components=COMPONENTS, weights=None, batch_size=16):
    made = [c(c.Options()) for c in components]
    return fit_detector(
        networks, made, weights or {}, normals, fpr=0.05, batch_size=batch_size, seed=0
    )


@pytest.fixture(scope="module")
def detector(networks, normals):
    return make(networks, normals)


def test_it_tells_other_digits_from_ones(detector, digits):
    from sklearn.metrics import roc_auc_score

    pixels, labels = digits
    held_out = np.concatenate([pixels[labels == 1][140:], pixels[labels == 0][:60]])
    truth = np.r_[np.zeros(len(held_out) - 60), np.ones(60)]
    assert roc_auc_score(truth, detector.score(held_out).score) > 0.9


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_score_does_not_depend_on_its_batch(detector, digits, data):
    pixels = digits[0]
    chosen = data.draw(st.lists(st.integers(0, len(pixels) - 1), min_size=1, max_size=40))
    together = detector.score(pixels[chosen])
    position = data.draw(st.integers(0, len(chosen) - 1))
    alone = detector.score(pixels[[chosen[position]]])
    assert alone.score[0] == together.score[position]  # to the bit, on CPU
    assert alone.p_value[0] == together.p_value[position]
    for name, values in together.components.items():
        assert alone.components[name][0] == values[position]


def test_components_are_standardised_on_validation_normals(detector, normals):
    scores = detector.score(normals.validation)
    for values in scores.components.values():
        assert abs(np.median(values)) < 1e-9
        assert np.quantile(values, 0.9) == pytest.approx(1.0)


def test_threshold_comes_from_calibration_normals(detector, normals):
    scores = detector.score(normals.calibration).score
    np.testing.assert_array_equal(np.sort(scores), detector.calibration.scores)


def test_score_is_the_weighted_mean(networks, normals, digits):
    weights = {"reconstruction": 0.0, "feature_matching": 3.0, "latent_neighbours": 1.0}
    scores = make(networks, normals, weights=weights).score(digits[0][:9])
    parts = scores.components
    wanted = (
        3 * parts["feature_matching"]
        + parts["latent_neighbours"]
        + parts["discriminator_neighbours"]
    ) / 5
    np.testing.assert_allclose(scores.score, wanted, rtol=1e-12)


@pytest.mark.parametrize("fpr", [0.03, 0.05, 0.29, 0.5, 0.97])
def test_p_values_and_the_threshold_of_a_rate_predict_alike(detector, digits, fpr):
    scores = detector.score(digits[0][:60])
    anomalous = detector.predict(scores, fpr)
    assert anomalous.dtype == bool
    assert (anomalous == (scores.p_value <= fpr)).all()
    threshold = detector.calibration.threshold(fpr)
    assert (anomalous == detector.predict(scores, threshold=threshold)).all()


def test_images_are_predicted_as_their_scores_are(detector, digits):
    scores = detector.score(digits[0][:9])
    assert (detector.predict(digits[0][:9]) == detector.predict(scores)).all()
    assert (detector.predict(scores) == detector.predict(scores, detector.default_fpr)).all()
    with pytest.raises(UsageError, match="exclude each other"):
        detector.predict(scores, fpr=0.1, threshold=1.0)


def test_no_images_give_no_scores(detector):
    empty = np.empty((0, 1, 8, 8), np.uint8)
    scores = detector.score(empty)
    assert scores.score.shape == scores.p_value.shape == (0,)
    assert detector.reconstruct(empty).shape == (0, 1, 8, 8)
    assert detector.heatmaps(empty).shape == (0, 8, 8)


def test_reconstructions_and_heatmaps_fit_their_images(detector, digits):
    pixels = digits[0][:21]
    rebuilt = detector.reconstruct(pixels)
    assert rebuilt.shape == pixels.shape
    assert rebuilt.dtype == np.uint8
    calibration = detector.map_calibration
    unit = calibration.peaks.threshold(detector.default_fpr) - calibration.location
    maps = detector.heatmaps(pixels) * unit + calibration.location
    wanted = np.abs(pixels.astype(float) - rebuilt)[:, 0] / 127.5
    np.testing.assert_allclose(maps, wanted, atol=0.01)


def test_heatmaps_come_with_the_scores(detector, digits):
    pixels = digits[0][:21]
    scores = detector.score(pixels, heatmaps=True, fpr=0.3)
    np.testing.assert_array_equal(scores.score, detector.score(pixels).score)
    np.testing.assert_array_equal(scores.heatmaps, detector.heatmaps(pixels, 0.3))
    assert (scores.heatmaps != detector.heatmaps(pixels)).any()
    assert detector.score(pixels).heatmaps is None
    one = [detector.score(pixels[i : i + 1], heatmaps=True, fpr=0.3).heatmaps for i in range(21)]
    np.testing.assert_array_equal(np.concatenate(one), scores.heatmaps)


def test_few_calibration_images_exceed_1_anywhere(detector, normals):
    for fpr in (0.05, 0.2):
        peaks = detector.heatmaps(normals.calibration, fpr).max(axis=(1, 2))
        assert (peaks > 1).sum() == int((len(peaks) + 1) * fpr) - 1  # another image may, too


def test_no_component_that_can_tell_where(networks, normals, digits):
    detector = make(networks, normals, (FeatureMatching,))
    assert not detector.has_heatmaps
    assert detector.heatmaps(digits[0][:2]) is None
    assert detector.score(digits[0][:2], heatmaps=True).heatmaps is None


def test_nearest_neighbour_distance_is_the_plain_one(networks, normals, digits):
    component = LatentNeighbours(LatentNeighbours.Options(n_neighbors=3))
    detector = fit_detector(networks, [component], {}, normals, 0.05, batch_size=8, seed=0)
    part = detector.members[0].components["latent_neighbours"]
    query = digits[0][:10]

    def encode(pixels):
        with torch.no_grad():
            return networks.encoder(torch.from_numpy(pixels) / 127.5 - 1).double().numpy()

    distances = np.linalg.norm(encode(query)[:, None] - encode(normals.train)[None], axis=2)
    wanted = np.sort(distances, axis=1)[:, :3].mean(axis=1)
    got = detector.score(query).components["latent_neighbours"] * part.scale + part.location
    np.testing.assert_allclose(got, wanted, rtol=5e-3)  # the bank is kept in half precision


def test_the_memory_is_bounded(networks, normals):
    component = LatentNeighbours(LatentNeighbours.Options(memory_bank_size=10))
    detector = fit_detector(networks, [component], {}, normals, 0.05, batch_size=8, seed=0)
    bank = detector.members[0].components["latent_neighbours"].fitted["bank"]
    assert bank.shape == (10, 8)
    assert bank.dtype == torch.float16


def test_a_constant_component_does_not_divide_by_zero(networks, normals, digits):
    class Constant(ScoreComponent):
        name = "constant"
        summary = "always the same"

        def score(self, outputs, fitted):
            return torch.full((len(outputs.x),), 7.0)

    scores = make(networks, normals, (Constant, Reconstruction)).score(digits[0][:5])
    assert (scores.components["constant"] == 0).all()
    assert np.isfinite(scores.score).all()


def test_all_weights_zero_is_refused(networks, normals):
    with pytest.raises(UsageError, match="weight above zero"):
        make(networks, normals, (Reconstruction,), {"reconstruction": 0.0})


def test_component_options_are_checked():
    with pytest.raises(ValueError, match="n_neighbors"):
        LatentNeighbours.Options(n_neighbors=0)
    assert issubclass(LatentNeighbours.Options, Options)


def bounded(title, limit, given):
    class Bounded(ScoreComponent):
        name = title

        def embed(self, outputs):
            return outputs.z

        def fit_limit(self):
            return limit

        def fit(self, embedded, generator):
            given[title] = embedded
            return {}

        def score(self, outputs, fitted):
            return outputs.z.square().sum(dim=1)

    return Bounded


def test_a_component_is_fitted_to_as_many_as_it_wants_whatever_others_want(networks, normals):
    alone, beside = {}, {}
    make(networks, normals, [bounded("few", 20, alone)])
    others = [bounded("some", 50, beside), bounded("every", None, beside)]
    make(networks, normals, [bounded("few", 20, beside), *others])
    assert {name: len(points) for name, points in beside.items()} == {
        "few": 20,
        "some": 50,
        "every": len(normals.train),
    }
    assert torch.allclose(alone["few"], beside["few"], atol=1e-6)
    kept = {tuple(point) for point in beside["some"].tolist()}
    assert {tuple(point) for point in beside["few"].tolist()} <= kept
