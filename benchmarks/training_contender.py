"""One contender of ``training.py``: trains some steps and prints what it measured as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bigan_cli.cli.main import limit_omp_spinning

if sys.argv[1].startswith("bigan"):
    limit_omp_spinning()  # as the command does, and before torch is imported

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Adam

from bigan_cli.architectures.dcgan import Dcgan
from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import DataLocation, ImageShape
from bigan_cli.datasets.mnist import Mnist
from bigan_cli.model.losses import (
    discriminator_loss,
    encoder_generator_loss,
    image_cycle_loss,
    latent_cycle_loss,
)
from bigan_cli.model.networks import Networks, build_networks, to_model_range
from bigan_cli.model.trainer import Trainer

SIDE = 28
LATENT_DIM = 32
WORKERS = 4

Images = NDArray[np.uint8]
Step = Callable[[Tensor], None]


class Clock:
    """Counts steps, and tells when the first ones, and all, are done."""

    def __init__(self, device: torch.device, warm_up: int, steps: int) -> None:
        self.device = device
        self.warm_up = warm_up
        self.steps = steps
        self.done = 0
        self.started = time.perf_counter()
        self.warm = self.ended = 0.0

    def tick(self) -> bool:
        """Count one step; return whether it was the last."""
        self.done += 1
        if self.done == self.warm_up:
            self.warm = self._now()
        elif self.done == self.warm_up + self.steps:
            self.ended = self._now()
        return self.ended > 0

    def figures(self, batch_size: int) -> dict[str, float]:
        """Return throughput, warm-up and the device's memory, by the names of training.py."""
        found = {
            "throughput": self.steps * batch_size / (self.ended - self.warm),
            "warm-up": self.warm - self.started,
        }
        if self.device.type == "cuda":
            found["device memory"] = torch.cuda.max_memory_reserved(self.device) / 2**20
        return found

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def main() -> None:
    """Train one contender."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender")
    parser.add_argument("--device", type=torch.device)
    for name in ("--batch-size", "--steps", "--warm-up", "--seed"):
        parser.add_argument(name, type=int)
    parser.add_argument("--data-root", type=Path)
    options = parser.parse_args()
    images = load(options.data_root)
    torch.manual_seed(options.seed)
    shape = ImageShape(1, SIDE, SIDE)
    networks = build_networks(Dcgan(Dcgan.Options()), shape, LATENT_DIM, options.seed)
    config = TrainConfig(batch_size=options.batch_size, seed=options.seed, epochs=1000)
    clock = Clock(options.device, options.warm_up, options.steps)
    if options.contender.startswith("bigan"):
        precision = "fp32" if options.contender.endswith("fp32") else "auto"
        compiled = "on" if options.contender.endswith("compiled") else "auto"
        config = config.model_copy(update={"precision": precision, "compile": compiled})
        train_ours(networks, config, images, clock)
    else:
        networks.to(options.device)
        usual = options.contender == "usual"
        step = usual_step(networks, config) if usual else careful_step(networks, config)
        if options.contender == "resident":
            batches = resident_batches(images, config.batch_size, options.device)
        else:
            batches = loaded_batches(
                images, config.batch_size, options.device, persistent=not usual
            )
        for x in batches:
            step(x)
            if clock.tick():
                break
    json.dump(clock.figures(config.batch_size), sys.stdout)


def load(root: Path | None) -> Images:
    """Return MNIST's train split, or the digits enlarged, uint8 ``[N, 28, 28]``."""
    if root is not None:
        items = Mnist(Mnist.Options(), DataLocation(root)).train_items()
        return np.asarray(items.images)
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = (load_digits().images * 255 / 16).round().astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(d).resize((SIDE, SIDE))) for d in digits])


def train_ours(networks: Networks, config: TrainConfig, images: Images, clock: Clock) -> None:
    """Train as ``bigan train`` does; the peers have no validation, so it gets two images."""
    stop = False

    def on_step(*_: int) -> None:
        nonlocal stop
        stop = clock.tick() or stop

    pixels = images[:, None]
    trainer = Trainer(
        networks,
        config,
        pixels[2:],
        pixels[:2],
        clock.device,
        should_stop=lambda: stop,
        on_step=on_step,
    )
    for _ in trainer.epochs():
        if stop:  # the last step was the last of its epoch
            break


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images as torchvision's datasets give them: PIL, then the usual transforms."""

    def __init__(self, images: Images) -> None:
        from torchvision import transforms

        self.images = images
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        """Return one image, ``[1, H, W]`` in [-1, 1], and a label that nobody reads."""
        from PIL import Image

        return self.transform(Image.fromarray(self.images[i])), 0


def loaded_batches(
    images: Images, batch_size: int, device: torch.device, *, persistent: bool
) -> Iterator[Tensor]:
    """Yield batches from a data loader with workers, epoch after epoch."""
    loader: Any = torch.utils.data.DataLoader(
        Pictures(images),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=persistent,
        pin_memory=persistent and device.type == "cuda",
    )
    while True:
        for x, _ in loader:
            yield x.to(device, non_blocking=persistent)


def resident_batches(images: Images, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Yield batches of images that are on the device already, epoch after epoch."""
    pixels = torch.from_numpy(images[:, None]).to(device)
    while True:
        order = torch.randperm(len(pixels), device=device)
        for some in order.split(batch_size):
            if len(some) == batch_size:
                yield to_model_range(pixels[some])


def optimisers(networks: Networks, config: TrainConfig) -> tuple[Adam, Adam]:
    """Return Adam over D, and over E and G."""
    of_d = Adam(networks.discriminator.parameters(), lr=config.lr, betas=(0.5, 0.999))
    both = [*networks.encoder.parameters(), *networks.generator.parameters()]
    return of_d, Adam(both, lr=config.lr, betas=(0.5, 0.999))


def noisy(x: Tensor, config: TrainConfig) -> Tensor:
    """Return images with the instance noise of the first epoch."""
    return x + config.instance_noise * torch.randn_like(x)


def usual_step(networks: Networks, config: TrainConfig) -> Step:
    """Return a step as public BiGAN scripts write it."""
    e, g, d = networks.encoder, networks.generator, networks.discriminator
    d_optimiser, eg_optimiser = optimisers(networks, config)
    history = []

    def step(x: Tensor) -> None:
        z = torch.randn(len(x), LATENT_DIM, device=x.device)
        d_optimiser.zero_grad()
        real, _ = d(noisy(x, config), e(x))
        fake, _ = d(noisy(g(z), config), z)
        d_loss = discriminator_loss(config.loss, real, fake, config.label_smoothing)
        d_loss.backward()
        d_optimiser.step()
        eg_optimiser.zero_grad()
        total = encoder_generator_objective(x, z, e, g, d, config)
        total.backward()
        eg_optimiser.step()
        history.append((d_loss.item(), total.item()))

    return step


def careful_step(networks: Networks, config: TrainConfig) -> Step:
    """Return the same step without work that is thrown away, and without waiting."""
    e, g, d = networks.encoder, networks.generator, networks.discriminator
    d_optimiser, eg_optimiser = optimisers(networks, config)
    history = []

    def step(x: Tensor) -> None:
        z = torch.randn(len(x), LATENT_DIM, device=x.device)
        with torch.no_grad():
            encoded, generated = e(x), g(z)
        real, _ = d(noisy(x, config), encoded)
        fake, _ = d(noisy(generated, config), z)
        d_loss = discriminator_loss(config.loss, real, fake, config.label_smoothing)
        d_optimiser.zero_grad()
        d_loss.backward()
        d_optimiser.step()
        d.requires_grad_(False)
        total = encoder_generator_objective(x, z, e, g, d, config)
        eg_optimiser.zero_grad()
        total.backward()
        eg_optimiser.step()
        d.requires_grad_(True)
        history.append((d_loss.detach(), total.detach()))

    return step


def encoder_generator_objective(
    x: Tensor, z: Tensor, e: nn.Module, g: nn.Module, d: nn.Module, config: TrainConfig
) -> Tensor:
    """Return the loss of E and G with both cycles, from fresh passes of everything."""
    encoded, generated = e(x), g(z)
    real, _ = d(noisy(x, config), encoded)
    fake, _ = d(noisy(generated, config), z)
    return (
        encoder_generator_loss(config.loss, real, fake)
        + config.reconstruction_weight * image_cycle_loss(x, g(encoded))
        + config.latent_cycle_weight * latent_cycle_loss(z, e(generated))
    )


if __name__ == "__main__":
    main()
