"""The training loop: a generator that yields one record per epoch.

It opens no files, prints nothing and knows no dataset.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts.epoch_record import EpochRecord
from bigan_cli.errors import TrainingError, UsageError, first_line, is_out_of_memory
from bigan_cli.model.batches import Samples, images_at_once, make_batches
from bigan_cli.model.compile import compile_networks, is_compile_error
from bigan_cli.model.cuda_graph import WARMUP_STEPS, RecordedStep
from bigan_cli.model.decoder_training import DecoderTraining
from bigan_cli.model.device import autocast, resolve_precision
from bigan_cli.model.diagnostics import DiagnosticsProbe, TrainingDiagnostics
from bigan_cli.model.losses import image_cycle_loss
from bigan_cli.model.memory_format import supports_channels_last, to_channels_last
from bigan_cli.model.networks import Networks, to_model_range
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.rng import epoch_seed, random_states, restore_random_states
from bigan_cli.model.schedules import cosine_rate, instance_noise
from bigan_cli.model.step import LOSSES, AdversarialStep
from bigan_cli.model.trainer_state import check_state, share_frozen
from bigan_cli.model.window_batches import SampleStream, batches_of

# Validation batch size; smaller for large images.
_VALIDATION_BATCH = 256
# Steps that are timed: on a machine that does other things, one may take several times as long.
_TRIED = 4


class Trainer:
    """Trains the networks and keeps the best epoch by validation, or the last.

    Args:
        networks: Newly built networks; they are moved to *device* and trained in place.
        config: Training settings.
        train: Normal images to train on, uint8 ``[N, C, H, W]``; for networks on feature maps,
            feature vectors float16 ``[N, K, 1, 1]``; or a stream of these.
        validation: Normal images, or feature vectors, to choose the best epoch.
        device: Where to train.
        should_stop: Called after every step; training stops when it returns True.
        on_step: Called with ``(epoch, step, steps)`` after every step, for a progress display.
        decoder: Trains the decoder after each epoch's steps; None without one.
        group: The processes that train these networks together, each on its rows of every batch.
            All of them validate, and train the decoder, alike.

    Raises:
        UsageError: There are fewer than two training images; or the batch cannot be divided among
            the processes, or compiled for several.
    """

    def __init__(  # noqa: PLR0913  keyword arguments with defaults
        self,
        networks: Networks,
        config: TrainConfig,
        train: Samples | SampleStream,
        validation: Samples,
        device: torch.device,
        *,
        should_stop: Callable[[], bool] | None = None,
        on_step: Callable[[int, int, int], None] | None = None,
        decoder: DecoderTraining | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        if len(train) < 2:
            raise UsageError(f"training needs at least 2 images, got {len(train)}")
        self.config = config
        self._group = group or ProcessGroup()
        self.batch_size = min(config.batch_size, len(train))
        _check_divisible(self.batch_size, config, self._group.size)
        self.device = device
        self.precision = resolve_precision(config.precision, device, networks.input_shape)
        # On a CPU, channels last is faster for some image sizes and slower for others.
        if device.type == "cuda" and supports_channels_last(networks):
            to_channels_last(networks)
        self.networks = networks.to(device)
        self.step = AdversarialStep(self.networks, config, device, self.precision, self._group)
        if config.compile == "on":
            compile_networks(self.networks, device)
        # The sums over processes are not recorded.
        recorded = device.type == "cuda" and config.compile != "off" and self._group.size == 1
        self._recorded = RecordedStep(self.step) if recorded else None
        # Every batch is full, so batch statistics and step times are comparable. Which
        # images are left out changes with every epoch's order.
        self._passes = math.ceil(config.min_epoch_steps * self.batch_size / len(train))
        steps = self._passes * len(train) // self.batch_size
        self.steps_per_epoch = min(steps, config.max_epoch_steps or steps)
        self._train = batches_of(train, device)
        self._validation = make_batches(validation, device)
        self._probe = DiagnosticsProbe(
            train if isinstance(train, np.ndarray) else train.sample, validation
        )
        self._should_stop = should_stop
        self._on_step = on_step
        self._decoder = decoder
        self.epoch = 0
        self.steps_done = 0
        self.best_epoch = 0
        self.best_validation = float("inf")
        self.best_weights: dict[str, Tensor] = {}
        self.diagnostics: TrainingDiagnostics | None = None
        self.best_diagnostics: TrainingDiagnostics | None = None
        self._sums: list[Tensor] = []
        self._pending_rng: dict[str, Tensor] | None = None

    @property
    def average(self) -> Networks:
        """The averaged networks, in ``eval()``; images are scored with them."""
        networks: Networks = self.step.average.module  # type: ignore[assignment]
        return networks

    def epochs(self) -> Iterator[EpochRecord]:
        """Train up to the configured epoch, yielding a record after each.

        Ends early, within an epoch, when ``should_stop()`` returns True; ``state()`` then
        resumes at that step.

        Raises:
            TrainingError: A loss became NaN or infinite, or the device ran out of memory.
        """
        while self.epoch < self.config.epochs and not self._stopped():
            started = time.perf_counter()
            first_step = self.steps_done
            losses = self._train_epoch()
            if losses is None:
                return
            trained = time.perf_counter() - started
            if self._decoder is not None:
                with self._explained():
                    self._decoder.train_epoch(self.epoch)
                self.average.decoder.load_state_dict(self._decoder.decoder.state_dict())  # type: ignore[union-attr]
            with self._explained():
                validation = self.validate()
                if not math.isfinite(validation):  # the last step's update broke the weights
                    raise self._diverged(f"step {self.steps_per_epoch}")
                self.diagnostics = self._diagnose(losses["d_loss"])
            self.epoch += 1
            best = self.config.selection == "last" or validation < self.best_validation
            if best:
                self._keep_best(validation)
            images = (self.steps_per_epoch - first_step) * self.batch_size
            yield EpochRecord(
                epoch=self.epoch,
                losses=losses,
                images_per_second=images / trained if images else 0.0,
                seconds=time.perf_counter() - started,
                validation=validation,
                best=best,
                extra=self.diagnostics.as_dict(),
            )

    def _diagnose(self, d_loss: float) -> TrainingDiagnostics:
        """Return the diagnostics of the averaged networks after an epoch with this mean loss."""
        found = self._probe(self.average, self.device, (self.epoch + 1) * self.steps_per_epoch)
        earlier_peak = self.diagnostics.peak_d_loss if self.diagnostics else 0.0
        return replace(found, peak_d_loss=max(d_loss, earlier_peak))

    def _keep_best(self, validation: float) -> None:
        """Keep the averaged networks of the epoch that was trained last as the best."""
        self.best_validation, self.best_epoch = validation, self.epoch
        self.best_diagnostics = self.diagnostics
        self.best_weights = {
            name: value.clone() for name, value in self.average.state_dict().items()
        }

    def _train_epoch(self) -> dict[str, float] | None:
        """Run the rest of the current epoch; return its mean losses, or None if stopped."""
        if self._pending_rng is None:
            # Each epoch has its own seed, so that nothing between epochs (an image grid, a
            # save) can change the run.
            torch.manual_seed(epoch_seed(self.config.seed, self.epoch))
        else:
            restore_random_states(self._pending_rng, self.device)
            self._pending_rng = None
        # From the seed and the epoch alone.
        batches_left = self._train.shuffled(
            epoch_seed(self.config.seed, self.epoch),
            self._passes,
            range(self.steps_done, self.steps_per_epoch),
            self.batch_size,
        )
        noise = instance_noise(self.config, self.epoch)
        self.networks.train()
        with self._explained(), closing(batches_left) as batches:
            for batch in batches:
                if self.config.lr_schedule == "cosine":
                    done = self.epoch * self.steps_per_epoch + self.steps_done
                    steps = self.config.epochs * self.steps_per_epoch
                    self.step.set_learning_rate(cosine_rate(done, steps))
                self._sums.append(self._advance(batch, noise))
                self.steps_done += 1
                if self._on_step is not None:
                    self._on_step(self.epoch + 1, self.steps_done, self.steps_per_epoch)
                if self._stopped():
                    self._sums = list(self._losses_of_steps())
                    return None
        # The only synchronisation with the device in an epoch.
        table = self._losses_of_steps().cpu()
        finite = torch.isfinite(table).all(dim=1)
        if not finite.all():
            raise self._diverged(f"step {int((~finite).nonzero()[0]) + 1}")
        self._sums = []
        self.steps_done = 0
        return dict(zip(LOSSES, table.mean(dim=0).tolist(), strict=True))

    def _losses_of_steps(self) -> Tensor:
        """Return the losses of the epoch's steps so far, of the whole batches."""
        return self._group.average_(torch.stack(self._sums))

    def _advance(self, pixels: Tensor, noise: float) -> Tensor:
        if self._recorded is not None:
            return self._recorded(pixels, noise)
        return self.step(to_model_range(pixels), noise)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert torch's errors of memory and of compilation into a TrainingError."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            first = first_line(error)
            if is_out_of_memory(error):
                raise TrainingError(
                    f"out of memory at epoch {self.epoch + 1}{': ' if first else ''}{first}",
                    f"use a smaller 'train.batch_size' than {self.config.batch_size}",
                ) from error
            if is_compile_error(error):
                raise TrainingError(
                    f"torch.compile failed: {first}", "train with 'train.compile=off'"
                ) from error
            raise

    def _diverged(self, where: str) -> TrainingError:
        if self._group.rank > 0:  # all notice it: process 0 knows what was saved, and says so
            self._group.wait_for_first()
        return TrainingError(
            f"loss became NaN or infinite at epoch {self.epoch + 1}, {where}",
            f"lower 'train.lr' ({self.config.lr:g})",
        )

    def _stopped(self) -> bool:
        # After its last step, an epoch is completed first.
        last = self.steps_done == self.steps_per_epoch
        if last or self._should_stop is None:
            return False
        return self._group.any(self._should_stop())

    def try_step(self) -> float:
        """Train a few steps on the first images and return the seconds of the fastest.

        It changes the networks: it measures the speed before training.
        """
        self.networks.train()
        seconds = []
        first = np.arange(self.batch_size)
        with self._explained():
            for _ in range(_TRIED if self._recorded is None else WARMUP_STEPS + _TRIED):
                started = time.perf_counter()
                for batch in self._train.in_order(first, self.batch_size):
                    self._advance(batch, self.config.instance_noise).tolist()
                seconds.append(time.perf_counter() - started)
        return min(seconds)

    def try_decoder(self) -> float:
        """Train the decoder a step and return the seconds that its steps of an epoch would take.

        0 without a decoder. It changes the decoder, as :meth:`try_step` changes the networks.
        """
        if self._decoder is None:
            return 0.0
        with self._explained():
            return self._decoder.try_step() * self._decoder.steps

    @torch.no_grad()
    def validate(self) -> float:
        """Return the mean |x - G(E(x))| of the averaged networks over the validation images."""
        total = torch.zeros((), device=self.device)
        shape = self.networks.input_shape
        together = images_at_once(_VALIDATION_BATCH, shape.height, shape.width)
        for batch in self._validation.in_order(np.arange(len(self._validation)), together):
            x = to_model_range(batch)
            with autocast(self.precision, self.device):
                reconstruction = self.average.generator(self.average.encoder(x))
            total += image_cycle_loss(x, reconstruction.float()) * len(x)
        return float(total) / max(1, len(self._validation))

    def state(self) -> dict[str, Any]:
        """Return the state needed to resume exactly, as tensors and plain values."""
        networks = self.networks.state_dict()
        return {
            "networks": networks,
            "average": share_frozen(self.average.state_dict(), networks),
            "average_updates": self.step.average.updates,
            "d_optimiser": self.step.d_optimiser.state_dict(),
            "eg_optimiser": self.step.eg_optimiser.state_dict(),
            "decoder_optimiser": self._decoder and self._decoder.state(),
            "epoch": self.epoch,
            "steps_done": self.steps_done,
            "sums": torch.stack(self._sums).cpu() if self._sums else torch.empty(0, len(LOSSES)),
            "rng": random_states(self.device),
            "best_epoch": self.best_epoch,
            "best_validation": self.best_validation,
            "best_weights": share_frozen(dict(self.best_weights), networks),
            "diagnostics": self.diagnostics and self.diagnostics.as_dict(),
            "best_diagnostics": self.best_diagnostics and self.best_diagnostics.as_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a state returned by :meth:`state` of a trainer with the same arguments.

        Raises:
            ValueError: It is that of another trainer; this one is unchanged.
        """
        check_state(state, self.state())
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.step.average.updates = state["average_updates"]
        self.step.load_optimisers(state["d_optimiser"], state["eg_optimiser"])
        if self._decoder is not None:
            self._decoder.load_state(state["decoder_optimiser"])
        self.epoch = state["epoch"]
        self.steps_done = state["steps_done"]
        self._sums = list(state["sums"].to(self.device))
        self._pending_rng = state["rng"] if self.steps_done else None
        self.best_epoch = state["best_epoch"]
        self.best_validation = state["best_validation"]
        self.best_weights = {k: v.to(self.device) for k, v in state["best_weights"].items()}
        self.diagnostics, self.best_diagnostics = (
            TrainingDiagnostics.from_dict(figures) if (figures := state[key]) else None
            for key in ("diagnostics", "best_diagnostics")
        )


def _check_divisible(batch_size: int, config: TrainConfig, processes: int) -> None:
    """Raise UsageError if *processes* cannot share the batches, or the networks are compiled."""
    if processes > 1 and config.compile == "on":
        raise UsageError("'train.compile=on' is for one process", "train with 'train.compile=auto'")
    if batch_size % processes:
        divisible = batch_size // processes * processes or processes
        all_images = "" if batch_size == config.batch_size else ", all training images,"
        raise UsageError(
            f"a batch of {batch_size} images{all_images} cannot be divided equally among "
            f"{processes} processes",
            f"set 'train.batch_size={divisible}'",
        )
