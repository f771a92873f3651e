"""Train and calibrate a detector on images in memory, without a run directory."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.config.load import LoadedConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.data.splits import part_sizes
from bigan_cli.errors import UsageError
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.device import repeatable_arithmetic, resolve_device
from bigan_cli.model.networks import build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.trainer import Trainer
from bigan_cli.plugins.instances import make_architecture, make_components
from bigan_cli.scoring.calibration import images_needed
from bigan_cli.scoring.default_components import DEFAULT_COMPONENTS
from bigan_cli.scoring.detector import Detector
from bigan_cli.scoring.fit import fit_detector
from bigan_cli.scoring.inference_networks import batch_size_for
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.workflows.callbacks import Callbacks


def fit_images(
    pixels: NDArray[np.uint8], loaded: LoadedConfig, callbacks: Callbacks | None = None
) -> Detector:
    """Train one network on normal images and calibrate its score; nothing is written.

    Some images are held out to choose the epoch and to calibrate, as in a run. Where too few
    are left to keep the false-positive rate, all images take part in all three, with a warning:
    the rate is then not guaranteed.

    PyTorch's random numbers, threads and cuDNN settings are as before afterwards.

    Args:
        pixels: uint8 ``[N, C, H, W]``, N >= 2; all of them normal.
        loaded: The configuration; its output table and its ensemble size are not used.
        callbacks: Receive warnings and finished epochs, and may stop the training.

    Raises:
        TrainingError: Training diverged or ran out of memory.
        UsageError: The score has no usable component, or ``data.tile`` or ``data.roi`` is set.
    """
    callbacks = callbacks or Callbacks()
    config, registry = loaded.config, loaded.registry
    if config.data.roi is not None:
        raise UsageError(
            "arrays of one row per image have no region of interest",
            "leave out 'data.roi', or train with bigan.train",
        )
    if config.data.tile is not None:
        raise UsageError(
            "arrays of one row per image are not cut into tiles",
            "leave out 'data.tile', or train with bigan.train",
        )
    device = resolve_device(config.train.device)
    shape = ImageShape(*pixels.shape[1:])
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        repeatable_arithmetic(device, shape),
    ):
        networks = build_networks(
            make_architecture(registry, config.model),
            shape,
            config.model.latent_dim,
            config.train.seed,
            heads=wanted_heads(config.train, shape),
            cycle_discriminators=wanted_cycle_discriminators(config.train),
        )
        normals = _divide(pixels, loaded, callbacks)
        trainer = Trainer(
            networks,
            config.train,
            normals.train,
            normals.validation,
            device,
            should_stop=callbacks.should_stop,
            on_step=callbacks.on_step,
        )
        for record in trainer.epochs():
            callbacks.on_epoch(record)
        if trainer.best_weights:
            trainer.average.load_state_dict(trainer.best_weights)
        return fit_detector(
            trainer.average,
            make_components(registry, config.score.components or DEFAULT_COMPONENTS, config.score),
            config.score.weights,
            normals,
            config.score.fpr,
            batch_size_for(shape),
            config.train.seed,
        )


def _divide(pixels: NDArray[np.uint8], loaded: LoadedConfig, callbacks: Callbacks) -> NormalImages:
    config = loaded.config
    train, validation, calibration = part_sizes(len(pixels), config.data)
    needed = images_needed(config.score.fpr)
    if calibration < needed or train < 2:
        callbacks.warn(
            f"{len(pixels)} images are too few to hold out the {needed} calibration images that "
            f"a false-positive rate of {config.score.fpr:g} needs: the score is calibrated on "
            "the training images, and more new images than that may be called anomalous"
        )
        return NormalImages(pixels, pixels, pixels)
    order = np.random.default_rng(config.train.seed).permutation(len(pixels))
    parts = np.split(order, [train, train + validation])
    return NormalImages(*(pixels[np.sort(part)] for part in parts))
