"""Everything that training needs: data, networks, score components and device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.config.schema import RunConfig, TrainConfig
from bigan_cli.contracts import Architecture, ScoreComponent
from bigan_cli.data.prepare import PARTS, PreparedData
from bigan_cli.data.tiles import TRAINING_PIXELS, VALIDATION_PIXELS, Tiles
from bigan_cli.model.batches import Samples
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.decoder_training import DecoderTraining
from bigan_cli.model.device import resolve_precision
from bigan_cli.model.feature_extraction import TrainingFeatures, as_samples, prepare_features
from bigan_cli.model.feature_stream import FeatureStream
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.trainer import Trainer
from bigan_cli.model.window_batches import PixelStream
from bigan_cli.plugins import Registry
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.workflows.callbacks import Callbacks

# Steps of the decoder for pictures after each epoch.
_DECODER_STEPS = 30


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that training needs.

    Attributes:
        data: The prepared images, and the complete configuration.
        architecture: Builds the networks.
        components: The score components to combine.
        device: Where to train.
        registry: The available plugins.
        callbacks: Receive the progress of computing features.
        group: The processes that train each member together.
        all_processes: Those of the whole training, which compute the features together.
    """

    data: PreparedData
    architecture: Architecture
    components: list[ScoreComponent]
    device: torch.device
    registry: Registry
    callbacks: Callbacks
    group: ProcessGroup = field(default_factory=ProcessGroup)
    all_processes: ProcessGroup = field(default_factory=ProcessGroup)

    @property
    def config(self) -> RunConfig:
        """The complete configuration."""
        return self.data.config

    @cached_property
    def networks(self) -> Networks:
        """The untrained networks of the first ensemble member."""
        return self._build(self.config.train.seed)

    @cached_property
    def parameters(self) -> int:
        """The number of weights of the networks."""
        return sum(p.numel() for p in self.networks.parameters())

    @property
    def precision(self) -> str:
        """The precision of the arithmetic, ``fp32`` or ``bf16``."""
        return resolve_precision(
            self.config.train.precision, self.device, self.networks.input_shape
        )

    @property
    def image_counts(self) -> dict[str, int]:
        """The number of images in each set; with cross-fitting, of train and test."""
        names = PARTS if self.data.folds is None else ("train", "test")
        counts = {name: len(getattr(self.data, name)) for name in names}
        if self.data.stream is not None:
            counts["train"] = len(self.data.stream)
        return counts

    def trainer(
        self,
        member: int = 0,
        should_stop: Callable[[], bool] | None = None,
        on_step: Callable[[int, int, int], None] | None = None,
    ) -> Trainer:
        """Return a new trainer for an ensemble member, counted from 0; see :class:`Trainer`.

        All members are trained on the same images. Member m has the run's seed plus m, which
        decides its initial weights, its order of the images and its noise.
        """
        config = self._config_of(member)
        features = self.features  # of the first member's networks, before they are dropped
        if member:
            self.__dict__.pop("networks", None)
        networks = self.networks if member == 0 else self._build(config.seed)
        make = partial(
            Trainer,
            networks,
            config,
            device=self.device,
            should_stop=should_stop,
            on_step=on_step,
            group=self.group,
        )
        images, validation = self.network_images
        if features is None:
            stream = self.data.stream
            train = images if stream is None else PixelStream(stream, images, self.group)
            return make(train, validation)
        networks.extractor.load_state_dict(features.normalisation, strict=False)  # type: ignore[union-attr]
        return make(
            self._feature_samples(networks, features),
            as_samples(features.validation, self.inside[1]),
            decoder=self._decoder_training(networks, features, config.seed),
        )

    def _config_of(self, member: int) -> TrainConfig:
        """Return the settings of an ensemble member's training, which has a seed of its own."""
        train = self.config.train
        return train.model_copy(update={"seed": train.seed + member})

    def _feature_samples(
        self, networks: Networks, features: TrainingFeatures
    ) -> Samples | FeatureStream:
        """Return the feature vectors to train on, all in memory or read again in every epoch."""
        in_memory = as_samples(features.train, self.inside[0])
        if self.data.stream is None:
            return in_memory
        described = self.config.model.model_dump_json(include={"architecture", "options"})
        return FeatureStream(
            self.data.stream,
            networks,
            in_memory,
            self.device,
            described,
            self.inside[0],
            self.group,
        )

    def _decoder_training(
        self, networks: Networks, features: TrainingFeatures, seed: int
    ) -> DecoderTraining | None:
        """Return the training of the decoder for pictures; None for networks without one."""
        if networks.decoder is None:
            return None
        networks.decoder.to(self.device)
        images, _ = self.network_images
        return DecoderTraining(networks, features.train, images, _DECODER_STEPS, seed, self.device)

    def fold_trainer(
        self,
        member: int,
        fit: NDArray[np.float16],
        held_out: NDArray[np.float16],
        on_step: Callable[[int, int, int], None] | None = None,
    ) -> Trainer:
        """Return a new trainer of cross-fitting: as :meth:`trainer`, on *fit* and without pictures.

        Args:
            member: The ensemble member, counted from 0.
            fit: Feature maps of all normal images but those of one fold, ``[N, h, w, K]``.
            held_out: Feature maps of that fold.
            on_step: As of :class:`Trainer`.
        """
        train = self._config_of(member)
        networks = self._build(train.seed)
        inside = self.inside[0]
        return Trainer(
            networks,
            train,
            as_samples(fit, inside),
            as_samples(held_out, inside),
            self.device,
            should_stop=self.callbacks.should_stop,
            on_step=on_step,
        )

    @cached_property
    def network_images(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What the networks see of the training and the validation images, uint8 ``[N, C, h, w]``.

        With tiling this is a sample of their tiles, the same for all members.
        """
        if self._tiles is None:
            return self.data.train.pixels, self.data.validation.pixels
        images, validation = self._tiles
        return images[:], validation[:]

    @cached_property
    def _tiles(self) -> tuple[Tiles, Tiles] | None:
        """The sample of tiles of the training and the validation images; None without tiling."""
        data, tiling, seed = self.data, self.data.tiling, self.config.train.seed
        if tiling is None:
            return None
        return (
            Tiles(data.train.pixels, tiling).sample(TRAINING_PIXELS, seed),
            Tiles(data.validation.pixels, tiling).sample(VALIDATION_PIXELS, seed),
        )

    @cached_property
    def inside(self) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
        """The positions of :attr:`network_images` that are in the region of interest.

        Bool ``[h, w]`` for all images alike, or ``[N, h, w]`` for tiles; None without a region.
        """
        roi, tiling, shape = self.data.roi, self.data.tiling, self.networks.input_shape
        if roi is None:
            return None, None
        if tiling is None or self._tiles is None:
            inside = roi.positions(shape.height, shape.width)
            return inside, inside
        of_tiles = roi.tile_positions(tiling, shape.height, shape.width)
        images, validation = self._tiles
        return of_tiles[images.numbers], of_tiles[validation.numbers]

    @cached_property
    def features(self) -> TrainingFeatures | None:
        """The feature maps of the normal images; None for networks on pixels.

        They are the same for all members, and so is the normalisation. The first access computes
        them: all processes must do it at the same point of their work together.
        """
        if not self.networks.on_feature_map:
            return None
        images, validation = self.network_images
        sets = [images]
        if self.data.folds is None:
            whole = self.data.tiling is None  # else too many features: computed at every save
            sets += [validation, self.data.calibration.pixels if whole else validation[:0]]
        return prepare_features(
            self.networks,
            sets,
            self.config.train.seed,
            self.device,
            partial(self.callbacks.on_progress, "computing features"),
            self.inside[0],
            self.all_processes,
        )

    @property
    def normals(self) -> NormalImages:
        """The normal images that the score is fitted to: their pixels, or their features."""
        features, data = self.features, self.data
        images, validation = self.network_images
        make = partial(
            NormalImages,
            roi=data.roi,
            train_inside=self.inside[0],
            validation_inside=self.inside[1],
        )
        if data.tiling is not None:
            return make(
                images if features is None else features.train,
                data.validation.pixels,
                data.calibration.pixels,
                tiling=data.tiling,
                validation_tiles=validation if features is None else features.validation,
            )
        if features is not None:
            return make(features.train, features.validation, features.calibration)
        return make(images, validation, data.calibration.pixels)

    def _build(self, seed: int) -> Networks:
        return build_networks(
            self.architecture,
            self.data.input_shape,
            self.config.model.latent_dim,
            seed,
            heads=wanted_heads(self.config.train, self.data.input_shape),
            cycle_discriminators=wanted_cycle_discriminators(self.config.train),
        )
