from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_sample_image
from torch import nn

from bigan_cli.architectures._efficientnet_lite import (
    SameConv2d,
    default_weights,
    load_efficientnet_lite0,
)
from bigan_cli.architectures._feature_networks import FeatureExtractor, PictureDecoder
from bigan_cli.architectures.features import Features, FeaturesOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.errors import UsageError
from bigan_cli.model.feature_extraction import as_samples, prepare_features
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.trainer import Trainer
from bigan_cli.scoring.components.feature_mahalanobis import FeatureMahalanobis
from bigan_cli.scoring.components.patch_mahalanobis import PatchMahalanobis
from bigan_cli.scoring.components.patch_neighbours import PatchNeighbours
from bigan_cli.scoring.components.residual_mahalanobis import ResidualMahalanobis
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.normal_images import NormalImages

CPU = torch.device("cpu")
SHAPE = ImageShape(1, 64, 64)
# Two of ImageNet's classes.
PALACE, DAISY = 698, 985


def networks(**options: object) -> Networks:
    return build_networks(
        Features(FeaturesOptions(**options)), SHAPE, 8, 0, heads={"distortion": 1}
    )


def parts(count: int, seed: int, scratched: bool = False) -> np.ndarray:
    """Images of a grey plate with a bright hole in the middle, each slightly different."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    images = []
    for _ in range(count):
        image = 100 + 20 * np.sin(columns / 9) + rng.normal(0, 3, (64, 64))
        image[(rows - 32) ** 2 + (columns - 32) ** 2 < 90] += 80
        if scratched:
            row = int(rng.integers(6, 20))
            image[row : row + 3, 8:56] = 230
        images.append(image)
    return np.clip(images, 0, 255).astype(np.uint8)[:, None]


@pytest.mark.parametrize(("name", "label"), [("china.jpg", PALACE), ("flower.jpg", DAISY)])
def test_the_backbone_classifies_photographs(name: str, label: int) -> None:
    """Input range, channel order, padding and weights are those of the ImageNet training."""
    backbone = load_efficientnet_lite0(default_weights(), classifier=True)
    photograph = torch.tensor(load_sample_image(name)).movedim(-1, 0)[None].float()
    height, width = photograph.shape[2:]
    top, left = (height - 400) // 2, (width - 400) // 2
    square = photograph[:, :, top : top + 400, left : left + 400]
    pixels = nn.functional.interpolate(square, size=(224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        logits = backbone((pixels - 127) / 128)
    assert label in logits.topk(3).indices[0].tolist()


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(5, 24),
    width=st.integers(5, 24),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    depthwise=st.booleans(),
)
def test_convolutions_pad_as_tensorflow_does(height, width, kernel, stride, depthwise) -> None:
    """With an odd number of rows to add, the last side gets one more than the first."""
    assume(kernel > 1 or stride == 1)
    layer = SameConv2d(6, 6, kernel, stride, groups=6 if depthwise else 1)
    x = torch.randn(2, 6, height, width)
    pads = []
    for size in (width, height):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    expected = nn.functional.conv2d(
        nn.functional.pad(x, pads), layer.weight, layer.bias, stride, groups=layer.groups
    )
    assert expected.shape[2:] == (-(-height // stride), -(-width // stride))
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


def test_damaged_weights_are_refused(tmp_path, monkeypatch) -> None:
    copy = tmp_path / "weights.pth"
    copy.write_bytes(default_weights().read_bytes()[:-1] + b"\1")
    monkeypatch.setattr("bigan_cli.architectures._backbones.default_weights", lambda: copy)
    with pytest.raises(UsageError, match="SHA-256"):
        networks()


def test_a_weights_file_of_another_network_is_refused(tmp_path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(UsageError):
        networks(weights=file)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (14, 10)}, "ascending"),
        ({"layers": (16,)}, "blocks 0 to 15"),
        ({"backbone": "resnet50"}, "timm:NAME"),
        ({"backbone": "torchvision:no_such"}, "no network"),
        ({"backbone": "torchvision:resnet18"}, "not downloaded unasked"),
    ],
)
def test_wrong_backbones_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        networks(**options)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_another_backbone_from_a_local_file(tmp_path) -> None:
    from torchvision.models import resnet18

    file = tmp_path / "resnet18.pth"
    torch.save(resnet18(weights=None).state_dict(), file)
    built = networks(backbone="torchvision:resnet18", weights=file, layers=(5, 6))
    assert built.input_shape == ImageShape(128 + 256, 4, 4)


@pytest.mark.parametrize(("stride", "side"), [(1, 16), (4, 16), (8, 8), (16, 4), (64, 4)])
def test_the_grid_is_that_of_a_layer(stride: int, side: int) -> None:
    built = networks(layers=(2, 4, 10), stride=stride)
    assert built.input_shape == ImageShape(24 + 40 + 112, side, side)
    assert built.layer_channels == (24, 40, 112)


def test_finer_layers_are_averaged_on_the_grid() -> None:
    """Not sampled: a defect smaller than a position must not fall between positions."""
    maps = [torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 4, 4)]
    maps[0][0, 0, 5, 6] = 9
    extractor = FeatureExtractor(_Maps(maps), (1, 1), stride=16)
    joined = extractor.raw(torch.zeros(1, 3, 64, 64))
    assert joined.shape == (1, 2, 4, 4)
    assert float(joined[0, 0].sum()) == pytest.approx(9 / 16)


def test_a_power_of_features_keeps_their_sign() -> None:
    maps = [torch.tensor([[[[4.0]], [[-9.0]], [[0.0]]]])]
    extractor = FeatureExtractor(_Maps(maps), (3,), stride=16, power=0.5)
    assert extractor.raw(torch.zeros(1, 3, 16, 16)).flatten().tolist() == [2, -3, 0]


class _Maps(nn.Module):
    """A backbone that returns the same maps for every image."""

    def __init__(self, maps: list[torch.Tensor]) -> None:
        super().__init__()
        self._maps = maps

    def forward(self, _: torch.Tensor) -> list[torch.Tensor]:
        return self._maps


def test_features_are_standardised_over_training_images() -> None:
    built = networks()
    images = parts(6, seed=0)
    features = prepare_features(built, [images, images[:2], images[2:4]], 0, CPU)
    assert features.train.shape == (6, 4, 4, built.input_shape.channels)
    assert abs(float(features.train.astype(np.float32).mean())) < 0.01
    assert abs(float(features.train.astype(np.float32).std()) - 1) < 0.05
    x = torch.from_numpy(images[:2]).float() / 127.5 - 1
    with torch.no_grad():
        seen = built.inputs(x).movedim(1, -1).numpy()
    np.testing.assert_allclose(seen, features.validation, atol=1e-3)


def test_a_sample_of_a_large_folder_sets_the_normalisation(monkeypatch) -> None:
    """The features of all images are those that the networks compute, in their order."""
    monkeypatch.setattr("bigan_cli.model.feature_extraction._MOST_IMAGES", 4)
    built = networks()
    images = parts(9, seed=0)
    progress: list[tuple[int, int]] = []
    features = prepare_features(
        built, [images, images[:1], images[:1]], 0, CPU, lambda *done: progress.append(done)
    )
    x = torch.from_numpy(images).float() / 127.5 - 1
    with torch.no_grad():
        seen = built.inputs(x).movedim(1, -1).numpy()
    np.testing.assert_allclose(features.train, seen, atol=0.01)
    assert progress[-1] == (11, 11)


def test_features_do_not_depend_on_the_number_of_threads_or_on_other_images() -> None:
    built = networks()
    images = parts(7, seed=0)
    first = prepare_features(built, [images, images[:2], images[2:4]], 0, CPU)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        second = prepare_features(built, [images, images[:2], images[2:4]], 0, CPU)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(first.train, second.train)
    np.testing.assert_array_equal(first.validation, second.validation)


def test_positions_do_not_see_each_other() -> None:
    built = networks().eval()
    f = torch.randn(1, built.input_shape.channels, 4, 4)
    other = f.clone()
    other[0, :, 0, 0] += 1
    with torch.no_grad():
        z, moved = built.encoder(f), built.encoder(other)
        logits, _ = built.discriminator(f, z)
        judged, _ = built.discriminator(other, moved)
    assert z.shape == (1, 8, 4, 4)
    assert logits.shape == (1, 4, 4)
    changed = (logits != judged)[0]
    assert changed[0, 0]
    assert changed.sum() == 1
    assert torch.equal(z[0, :, 1:], moved[0, :, 1:])


def test_grey_images_are_seen_as_colour_images_of_equal_channels() -> None:
    extractor = networks().extractor
    assert isinstance(extractor, FeatureExtractor)
    x = torch.rand(1, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.equal(extractor.raw(x), extractor.raw(x.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (256, 320)])
def test_the_decoder_draws_images_of_the_right_size(size: tuple[int, int]) -> None:
    shape = ImageShape(3, *size)
    feature_shape = ImageShape(12, size[0] // 16, size[1] // 16)
    drawn = PictureDecoder(feature_shape, shape, 64)(torch.randn(2, 12, *_hw(feature_shape)))
    assert drawn.shape == (2, 3, *size)
    assert drawn.abs().max() <= 1


def _hw(shape: ImageShape) -> tuple[int, int]:
    return shape.height, shape.width


@pytest.fixture(scope="module")
def detector() -> Detector:
    built = networks()
    images = parts(44, seed=0)
    features = prepare_features(built, [images[:24], images[24:34], images[34:]], 0, CPU)
    config = TrainConfig(
        epochs=2,
        min_epoch_steps=60,
        max_epoch_steps=60,
        batch_size=64,
        lr=1e-3,
        lr_schedule="cosine",
        distortions=("feature_noise",),
        distortion_weight=1.0,
    )
    trainer = Trainer(
        built, config, as_samples(features.train), as_samples(features.validation), CPU
    )
    assert [record.epoch for record in trainer.epochs()] == [1, 2]
    kinds = (ResidualMahalanobis, PatchMahalanobis, PatchNeighbours, FeatureMahalanobis)
    components = [kind(kind.Options()) for kind in kinds]
    weights = {component.name: 1.0 for component in components}
    normal = NormalImages(features.train, features.validation, features.calibration)
    return fit_detector(trainer.average, components, weights, normal, 0.1, 4, 0)


@pytest.mark.slow
def test_scratched_parts_score_higher_than_good_ones(detector: Detector) -> None:
    good = detector.score(parts(10, seed=1)).score
    scratched = detector.score(parts(10, seed=2, scratched=True)).score
    assert scratched.min() > good.max()


@pytest.mark.slow
def test_the_map_is_highest_at_the_scratch(detector: Detector) -> None:
    heat = detector.heatmaps(parts(4, seed=3, scratched=True))
    assert heat is not None
    assert heat.shape == (4, 64, 64)
    for each in heat:
        assert each[:26].max() > each[40:].max()


@pytest.mark.slow
def test_an_image_scores_the_same_alone_and_in_a_batch(detector: Detector) -> None:
    images = parts(5, seed=4)
    together = detector.score(images)
    alone = detector.score(images[3:4])
    assert alone.score[0] == together.score[3]


def test_the_learning_rate_falls_along_a_cosine() -> None:
    built = networks()
    features = np.zeros((64, built.input_shape.channels, 1, 1), np.float16)
    config = TrainConfig(epochs=2, batch_size=16, lr=1e-3, lr_schedule="cosine")
    rates: list[float] = []
    trainer = Trainer(
        built,
        config.model_copy(update={"distortions": ("feature_noise",)}),
        features,
        features[:8],
        CPU,
        on_step=lambda *_: rates.append(trainer.step.d_optimiser.param_groups[0]["lr"]),
    )
    list(trainer.epochs())
    assert rates[0] == pytest.approx(1e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[4] == pytest.approx(1e-3 * (0.05 + 0.95 * 0.5))
    assert trainer.networks.extractor is not None
    assert not any(p.requires_grad for p in trainer.networks.extractor.parameters())
