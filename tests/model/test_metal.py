"""What Apple's Metal does not have must not be used where the networks run.

Metal has no 64-bit floats, and no CUDA call works there. Every operation of training and scoring
is watched on the CPU, since few machines that run these tests have such a GPU. A CUDA call would
fail there by itself.
"""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.device import resolve_precision
from bigan_cli.model.networks import build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.trainer import Trainer
from bigan_cli.plugins import load_registry
from bigan_cli.scoring.default_components import DEFAULT_COMPONENTS
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.normal_images import NormalImages


class OnlyWhatMetalHas(TorchDispatchMode):
    """Refuse any operation that gives a 64-bit float; count the others."""

    operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, torch.Tensor):
                assert result.dtype not in (torch.float64, torch.complex128), func
        self.operations += 1
        return results


def test_the_watch_sees_a_double():
    with pytest.raises(AssertionError, match="aten"), OnlyWhatMetalHas():
        torch.zeros(2).double()


def test_training_and_scoring_use_only_what_metal_has():
    pixels = np.random.default_rng(0).integers(0, 256, (80, 1, 12, 9), dtype=np.uint8)
    normals = NormalImages(pixels[:40], pixels[40:60], pixels[60:])
    dcgan = Dcgan(DcganOptions(feature_maps_gen=4, feature_maps_disc=4, dropout_rate=0.1))
    config = TrainConfig(
        epochs=2,
        batch_size=16,
        rotation_weight=1.0,
        adversarial_image_cycle_weight=1.0,
        adversarial_latent_cycle_weight=1.0,
        shift_weight=1.0,
        flip_weight=1.0,
        augmentations=("colour", "translation", "cutout"),
    )
    shape = ImageShape(1, 12, 9)
    heads, cycle_discriminators = wanted_heads(config, shape), wanted_cycle_discriminators(config)
    networks = build_networks(dcgan, shape, 5, 0, heads, cycle_discriminators)
    registry = load_registry()
    components = [registry.component(name) for name in DEFAULT_COMPONENTS]
    with OnlyWhatMetalHas() as watch:
        trainer = Trainer(networks, config, normals.train, normals.validation, torch.device("cpu"))
        list(trainer.epochs())
        trainer.load_state(trainer.state())
        made = [c(c.Options()) for c in components]
        detector = fit_detector(trainer.average, made, {}, normals, 0.05, batch_size=16, seed=0)
        scores = detector.score(pixels)
        detector.reconstruct(pixels)
        detector.heatmaps(pixels)
        detector.sample(np.zeros((3, 5), np.float32))
    assert np.isfinite(scores.score).all()
    assert watch.operations > 1000


def test_precision_on_metal_is_single():
    assert resolve_precision("auto", torch.device("mps"), ImageShape(1, 28, 28)) == "fp32"
