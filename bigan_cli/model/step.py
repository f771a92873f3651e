"""One training step: the discriminator's update, then the encoder's and generator's.

Encoder and generator run forward once per step. The discriminator is trained on their detached
outputs, so its update computes no gradient for them. Then the updated discriminator is frozen,
and its loss for the same outputs is backpropagated into encoder and generator. Real and generated
pairs share one pass of the discriminator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import parametrize
from torch.optim import Adam

from bigan_cli.config.schema import TrainConfig
from bigan_cli.model.augmentation import augment
from bigan_cli.model.cycle_discriminators import (
    IMAGE,
    LATENT,
    Cycles,
    adversarial_losses,
    adversarial_weights,
    discriminator_losses,
)
from bigan_cli.model.device import autocast
from bigan_cli.model.ema import MovingAverage
from bigan_cli.model.global_batch import GlobalBatch
from bigan_cli.model.losses import (
    discriminator_loss,
    encoder_generator_loss,
    image_cycle_loss,
    latent_cycle_loss,
)
from bigan_cli.model.networks import Networks
from bigan_cli.model.pretext import TASKS, pretext_losses, task_weights
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.profile import phase
from bigan_cli.model.synchronised_batch_norm import synchronise_batch_norm
from bigan_cli.model.trainer_state import load_optimiser

LOSSES = (
    *("d_loss", "eg_loss", "image_cycle", "latent_cycle", *TASKS, "d_real", "d_fake"),
    *("d_xx_loss", "d_zz_loss", "eg_xx_loss", "eg_zz_loss"),
)
# The pairs of each cycle discriminator, as its losses are named.
_PAIRS = {IMAGE: "xx", LATENT: "zz"}
# Adam with a short memory of the gradient, as in DCGAN (arXiv 1511.06434).
_BETAS = (0.5, 0.999)


class AdversarialStep:
    """The networks, their average and their two optimisers: everything a step changes.

    Args:
        networks: The networks to train, already on *device*.
        config: Learning rate, losses and their weights.
        device: Where the networks are.
        precision: ``fp32`` or ``bf16``.
        group: The processes that divide every batch. The networks of all are those of process 0
            at first, and stay alike: gradients and batch statistics are averaged.
    """

    def __init__(
        self,
        networks: Networks,
        config: TrainConfig,
        device: torch.device,
        precision: str,
        group: ProcessGroup | None = None,
    ) -> None:
        self.networks = networks
        self.config = config
        self.device = device
        self.precision = precision
        self._group = group or ProcessGroup()
        self._group.copy_from_first([*networks.parameters(), *networks.buffers()])
        self.average = MovingAverage(networks, config.ema_decay)
        if self._group.size > 1:  # after the copy, which is only used in eval()
            synchronise_batch_norm(networks, self._group.size)
        self._d_parameters = [
            *networks.discriminator.parameters(),
            *networks.heads.parameters(),
            *networks.cycle_discriminators.parameters(),
        ]
        self._eg_parameters = [
            *networks.encoder.parameters(),
            *networks.generator.parameters(),
        ]
        # The fused kernels update all parameters in one call; on Metal PyTorch may choose.
        self._fused = True if device.type in ("cpu", "cuda") else None
        # Optimisers recorded in a CUDA graph must be capturable.
        self._capturable = device.type == "cuda"
        # A recorded step reads a changing learning rate from a tensor.
        self._rates = (config.lr * config.disc_lr_factor, config.lr)
        falling = self._capturable and config.lr_schedule != "constant"
        self.d_optimiser, self.eg_optimiser = (
            Adam(
                parameters,
                lr=torch.tensor(rate, device=device) if falling else rate,
                betas=_BETAS,
                fused=self._fused,
                capturable=self._capturable,
            )
            for parameters, rate in zip(
                (self._d_parameters, self._eg_parameters), self._rates, strict=True
            )
        )

    def load_optimisers(self, d_state: dict[str, Any], eg_state: dict[str, Any]) -> None:
        """Load the optimisers' states of a step with the same networks, on any device.

        Raises:
            ValueError: A moment has another shape than its parameter.
        """
        for optimiser, state in ((self.d_optimiser, d_state), (self.eg_optimiser, eg_state)):
            load_optimiser(optimiser, state)
            for group in optimiser.param_groups:
                # The state may be of another device.
                group["fused"], group["capturable"] = self._fused, self._capturable
            for parameter, kept in optimiser.state.items():
                for name, value in kept.items():
                    if value.shape == parameter.shape:  # and of another memory format
                        kept[name] = torch.empty_like(parameter).copy_(value)

    def set_learning_rate(self, fraction: float) -> None:
        """Set the learning rates to a *fraction* of the first, for recorded steps too."""
        for optimiser, first in zip(
            (self.d_optimiser, self.eg_optimiser), self._rates, strict=True
        ):
            for group in optimiser.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(first * fraction)
                else:
                    group["lr"] = first * fraction

    def __call__(self, x: Tensor, noise: float) -> Tensor:
        """Train on one batch.

        Args:
            x: Normal images ``[N, C, H, W]`` in [-1, 1], on the device: the whole batch, of which
                each process computes its own rows.
            noise: Standard deviation of the noise added to every image D sees.

        Returns:
            One value for each of :data:`LOSSES`, float32, on the device, of this process's rows.
            The caller reads them, since that waits for the device.
        """
        return self.run(x, noise, self.average.next_weight())

    def run(self, x: Tensor, noise: float | Tensor, average_weight: float | Tensor) -> Tensor:
        """Run the operations of a step, without changing any state on the host.

        For a step recorded in a CUDA graph, values that change from step to step are tensors.

        Args:
            x: See :meth:`__call__`.
            noise: Likewise; a scalar tensor adds noise even where it is 0.
            average_weight: How far the averaged weights move towards the new ones.
        """
        batch = self._batch = GlobalBatch(self._group, len(x))
        z = batch.draw(self.networks.prior)
        whole, x = x, batch.own(x)
        with autocast(self.precision, self.device):
            with phase("forward of E and G"):
                generated = self.networks.generator(z)
                encoded, cycled = self._encode(x, generated)
                cycles = self._adversarial_cycles(x, encoded, z, cycled)
            d_total, metrics = self._discriminator_objective(
                whole, encoded.detach(), generated.detach(), z, cycles, noise
            )
        self._update("D", self.d_optimiser, d_total)

        with frozen(self._d_parameters):
            with autocast(self.precision, self.device):
                eg_total, more = self._encoder_generator_objective(
                    x, encoded, generated, z, cycled, cycles, noise
                )
            self._update("E and G", self.eg_optimiser, eg_total)

        with phase("averaging of the weights"):
            self.average.move(average_weight)
        metrics |= more
        nothing = d_total.new_zeros(())
        return torch.stack([metrics.get(name, nothing) for name in LOSSES]).detach()

    def _discriminator_objective(
        self,
        x: Tensor,
        encoded: Tensor,
        generated: Tensor,
        z: Tensor,
        cycles: Cycles,
        noise: float | Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of D, its heads and the cycle discriminators, and its terms by name."""
        with phase("forward of D"):
            own = self._batch.own(x)
            d_loss, real, fake = self._discriminator_loss(own, encoded, generated, z, noise)
        with phase("forward of D's heads"):
            pretext = pretext_losses(self.networks, x, self.config, self._batch)
        perturb = partial(self._noisy, noise=noise)
        cycle_losses = discriminator_losses(
            self.networks.cycle_discriminators, cycles, self.config, perturb
        )
        weights = task_weights(self.config)
        total = sum((weights[task] * loss for task, loss in pretext.items()), d_loss)
        total = sum(cycle_losses.values(), total)
        metrics = {"d_loss": d_loss, "d_real": real.mean(), "d_fake": fake.mean(), **pretext}
        return total, metrics | {
            f"d_{_PAIRS[name]}_loss": loss for name, loss in cycle_losses.items()
        }

    def _encoder_generator_objective(
        self,
        x: Tensor,
        encoded: Tensor,
        generated: Tensor,
        z: Tensor,
        cycled: Tensor | None,
        cycles: Cycles,
        noise: float | Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of E and G against the frozen discriminators, and its terms by name."""
        with phase("forward of the frozen D"):
            eg_real, eg_fake = self._adversarial_logits(x, encoded, generated, z, noise)
            eg_loss = encoder_generator_loss(self.config.loss, eg_real, eg_fake)
        with phase("forward of the cycles"):
            image_cycle = self._image_cycle(x, encoded, cycles)
            latent_cycle = (
                eg_loss.new_zeros(()) if cycled is None else latent_cycle_loss(z, cycled.float())
            )
        perturb = partial(self._noisy, noise=noise)
        cycle_losses = adversarial_losses(
            self.networks.cycle_discriminators, cycles, self.config, perturb
        )
        total = (
            eg_loss
            + self.config.reconstruction_weight * image_cycle
            + self.config.latent_cycle_weight * latent_cycle
        )
        weights = adversarial_weights(self.config)
        total = sum((weights[name] * loss for name, loss in cycle_losses.items()), total)
        metrics = {"eg_loss": eg_loss, "image_cycle": image_cycle, "latent_cycle": latent_cycle}
        return total, metrics | {
            f"eg_{_PAIRS[name]}_loss": loss for name, loss in cycle_losses.items()
        }

    def _update(self, networks: str, optimiser: Adam, loss: Tensor) -> None:
        with phase(f"backward of {networks}"):
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
        if self._group.size > 1:
            with phase(f"averaging of the gradients of {networks}"):
                self._group.average_gradients(optimiser.param_groups[0]["params"])
        with phase(f"update of {networks}"):
            optimiser.step()

    def _encode(self, x: Tensor, generated: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return E(x) and, where the latent cycle is on, E(G(z))."""
        adversarial = self.networks.cycle_discriminators
        if self.config.latent_cycle_weight == 0 and LATENT not in adversarial:
            return self.networks.encoder(x), None
        encoded, cycled = self.networks.encoder(torch.cat([x, generated])).chunk(2)
        return encoded, cycled

    def _adversarial_cycles(
        self, x: Tensor, encoded: Tensor, z: Tensor, cycled: Tensor | None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return start and end of each cycle that has a discriminator."""
        cycles = {}
        if IMAGE in self.networks.cycle_discriminators:
            cycles[IMAGE] = (x, self.networks.generator(encoded))
        if LATENT in self.networks.cycle_discriminators and cycled is not None:
            cycles[LATENT] = (z, cycled)
        return cycles

    def _image_cycle(self, x: Tensor, encoded: Tensor, cycles: Cycles) -> Tensor:
        if IMAGE in cycles:
            return image_cycle_loss(x, cycles[IMAGE][1].float())
        if self.config.reconstruction_weight == 0:
            return x.new_zeros(())
        return image_cycle_loss(x, self.networks.generator(encoded).float())

    def _discriminator_loss(
        self, x: Tensor, encoded: Tensor, generated: Tensor, z: Tensor, noise: float | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return D's loss and its logits of real and generated pairs."""
        real, fake = self._logits(x, encoded, generated, z, noise)
        loss = discriminator_loss(self.config.loss, real, fake, self.config.label_smoothing)
        return loss, real, fake

    def _logits(
        self, x: Tensor, encoded: Tensor, generated: Tensor, z: Tensor, noise: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits of (x, E(x)) and of (G(z), z), from one pass, in float32."""
        images = self._augmented_with_noise(torch.cat([x, generated.to(x.dtype)]), noise)
        latents = torch.cat([encoded.to(z.dtype), z])
        logits, _ = self.networks.discriminator(images, latents)
        real, fake = logits.float().chunk(2)
        return real, fake

    def _adversarial_logits(
        self, x: Tensor, encoded: Tensor, generated: Tensor, z: Tensor, noise: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the same logits of the frozen D, for the gradient of E and G.

        The real images need no gradient, so in a separate call they need no backward pass
        through the convolutions. That saves time on a CPU; on a GPU the second call costs more.
        """
        if self.device.type != "cpu":
            return self._logits(x, encoded, generated, z, noise)
        discriminator = self.networks.discriminator
        with parametrize.cached():  # one spectral normalisation serves both calls
            real, _ = discriminator(self._augmented_with_noise(x, noise), encoded.to(z.dtype))
            fake, _ = discriminator(self._augmented_with_noise(generated.to(x.dtype), noise), z)
        return real.float(), fake.float()

    def _augmented_with_noise(self, images: Tensor, noise: float | Tensor) -> Tensor:
        """Return *images* augmented and with noise added, as D sees them."""
        names = self.config.augmentations
        if names:
            images = self._batch.apply(partial(augment, names=names), images)
        return self._noisy(images, noise)

    def _noisy(self, images: Tensor, noise: float | Tensor) -> Tensor:
        if not isinstance(noise, Tensor) and noise == 0:
            return images
        return images + noise * self._batch.randn_like(images)


@contextmanager
def frozen(parameters: Sequence[Parameter]) -> Iterator[None]:
    """Compute no gradients for *parameters*."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
