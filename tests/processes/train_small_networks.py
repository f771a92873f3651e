"""Trains small networks in one process and in two, and writes what came of it to a folder.

    python train_small_networks.py FOLDER

The folder then has ``KIND-NAME.pt``, (records, state) of each training:
``one``; ``two-0`` and ``two-1``, of both processes; ``stopped-0`` and ``stopped-1``, where process
1 was asked to stop in the second epoch; and ``resumed-0`` and ``resumed-one``, which continue
``stopped-0`` in two processes and in one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forking import fork, wait
from torch import nn

from bigan_cli.architectures._feature_networks import PositionwiseDiscriminator, PositionwiseMLP
from bigan_cli.architectures.dcgan import Dcgan, DcganOptions
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import ImageShape
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.networks import Networks, add_heads, build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.process_group import ProcessGroup, open_process_group
from bigan_cli.model.trainer import Trainer

CPU = torch.device("cpu")
EPOCHS = 2
STOP_AFTER = 7  # steps, of 5 in an epoch


def digits(group: ProcessGroup, **callbacks: Any) -> Trainer:
    """Return a trainer of networks on pixels that uses everything a step can."""
    from sklearn.datasets import load_digits

    pixels = np.round(load_digits().images[:180] * 255 / 16).astype(np.uint8)[:, None]
    config = TrainConfig.model_validate(
        {
            "epochs": EPOCHS,
            "batch_size": 30,
            "lr_schedule": "cosine",
            "instance_noise": 0.1,
            "instance_noise_fraction": 1.0,
            "rotation_weight": 1.0,
            "shift_weight": 1.0,
            "flip_weight": 1.0,
            "augmentations": ("colour", "translation", "cutout"),
            "adversarial_image_cycle_weight": 1.0,
            "adversarial_latent_cycle_weight": 1.0,
        }
    )
    shape = ImageShape(1, 8, 8)
    dcgan = Dcgan(DcganOptions(feature_maps_gen=4, feature_maps_disc=4))
    networks = build_networks(
        dcgan, shape, 5, 0, wanted_heads(config, shape), wanted_cycle_discriminators(config)
    )
    return Trainer(networks, config, pixels[:160], pixels[160:], CPU, group=group, **callbacks)


def features(group: ProcessGroup, **callbacks: Any) -> Trainer:
    """Return a trainer of networks on feature vectors."""
    vectors = np.random.default_rng(0).standard_normal((180, 12, 1, 1)).astype(np.float16)
    config = TrainConfig.model_validate(
        {"epochs": EPOCHS, "batch_size": 32, "distortions": ("feature_noise",)}
    )
    torch.manual_seed(0)
    networks = Networks(
        PositionwiseMLP(12, 16, 4),
        PositionwiseMLP(4, 16, 12),
        PositionwiseDiscriminator(12, 4, 16),
        ImageShape(3, 32, 32),
        4,
        extractor=nn.Identity(),
        input_shape=ImageShape(12, 1, 1),
    )
    add_heads(networks, wanted_heads(config, networks.input_shape))
    return Trainer(networks, config, vectors[:160], vectors[160:], CPU, group=group, **callbacks)


KINDS: dict[str, Callable[..., Trainer]] = {"digits": digits, "features": features}


def train(folder: Path, kind: str, group: ProcessGroup, name: str, start: str = "") -> None:
    """Train to the end, or until asked to stop, from the state of *start* if there is one."""
    steps = 0

    def stop() -> bool:
        return name.startswith("stopped") and group.rank == 1 and steps >= STOP_AFTER

    def count(_epoch: int, _step: int, _steps: int) -> None:
        nonlocal steps
        steps += 1

    trainer = KINDS[kind](group, should_stop=stop, on_step=count)
    if start:
        trainer.load_state(torch.load(folder / f"{kind}-{start}.pt", weights_only=False)[1])
    records = list(trainer.epochs())
    torch.save((records, trainer.state()), folder / f"{kind}-{name}.pt")


def main(folder: Path) -> None:
    """Run all trainings."""
    torch.set_num_threads(1)

    def together(rank: int) -> int:
        with open_process_group() as group:
            for kind in KINDS:
                train(folder, kind, group, f"two-{rank}")
                train(folder, kind, group, f"stopped-{rank}")
                train(folder, kind, group, f"resumed-{rank}", "stopped-0")
        return 0

    assert wait(fork(2, together)) == [0, 0]
    for kind in KINDS:
        train(folder, kind, ProcessGroup(), "one")
        train(folder, kind, ProcessGroup(), "resumed-one", "stopped-0")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
