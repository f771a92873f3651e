"""Training of the decoder from feature maps to images."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Adam

from bigan_cli.model.networks import Networks, to_model_range
from bigan_cli.model.rng import epoch_seed
from bigan_cli.model.trainer_state import load_optimiser

_LEARNING_RATE = 2e-3
# Total number of pixels in a step.
_BATCH_PIXELS = 4 * 256 * 256
_LARGEST_BATCH = 16


class DecoderTraining:
    """Trains a decoder to reconstruct the training images from their feature maps.

    It minimises the mean absolute error of the pixels. The features are fixed, so E, G and D do
    not change.

    Args:
        networks: With a decoder, on *device*.
        maps: Feature maps of the training images, float16 ``[N, h, w, K]``.
        pixels: The training images, uint8 ``[N, C, H, W]``.
        steps: Steps in each epoch.
        seed: Seed of the order of the images.
        device: Where to train.
    """

    def __init__(
        self,
        networks: Networks,
        maps: NDArray[np.float16],
        pixels: NDArray[np.uint8],
        steps: int,
        seed: int,
        device: torch.device,
    ) -> None:
        assert networks.decoder is not None  # noqa: S101  checked by the caller
        self.decoder = networks.decoder
        self.optimiser = Adam(self.decoder.parameters(), lr=_LEARNING_RATE)
        self._maps = maps
        self._pixels = pixels
        self.steps = steps
        self._seed = seed
        self._device = device
        fitting = _BATCH_PIXELS // (pixels.shape[2] * pixels.shape[3])
        self._batch_size = max(1, min(_LARGEST_BATCH, fitting, len(pixels)))

    def train_epoch(self, epoch: int) -> float:
        """Train the steps of one epoch, counted from 0; return the mean loss."""
        generator = torch.Generator().manual_seed(epoch_seed(self._seed, epoch))
        wanted = self.steps * self._batch_size
        passes = -(-wanted // len(self._pixels))
        order = torch.cat(
            [torch.randperm(len(self._pixels), generator=generator) for _ in range(passes)]
        )
        self.decoder.train()
        losses = [self._step(chosen.numpy()) for chosen in order[:wanted].split(self._batch_size)]
        self.decoder.eval()
        return float(torch.stack(losses).mean()) if losses else 0.0

    def _step(self, chosen: NDArray[np.int64]) -> Tensor:
        maps = torch.from_numpy(self._maps[chosen]).to(self._device).float().movedim(-1, 1)
        images = to_model_range(torch.from_numpy(self._pixels[chosen]).to(self._device))
        loss: Tensor = (self.decoder(maps) - images).abs().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def try_step(self) -> float:
        """Train a step on the first images and return its seconds."""
        started = time.perf_counter()
        self.decoder.train()
        float(self._step(np.arange(self._batch_size)))  # waits for the device
        self.decoder.eval()
        return time.perf_counter() - started

    def state(self) -> dict[str, Any]:
        """Return the state of the optimiser, to resume training."""
        state: dict[str, Any] = self.optimiser.state_dict()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state`."""
        load_optimiser(self.optimiser, state)
