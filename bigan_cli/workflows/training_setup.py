"""Everything that training needs: data, networks, score components and device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray

from bigan_cli.config.load import LoadedConfig
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Architecture, ScoreComponent
from bigan_cli.data.prepare import PARTS, PreparedData, open_dataset, prepare
from bigan_cli.data.tiles import TRAINING_PIXELS, VALIDATION_PIXELS, Tiles
from bigan_cli.errors import DataError, UsageError
from bigan_cli.model.batches import Samples
from bigan_cli.model.cycle_discriminators import wanted_cycle_discriminators
from bigan_cli.model.decoder_training import DecoderTraining
from bigan_cli.model.device import repeatable_arithmetic, resolve_device, resolve_precision
from bigan_cli.model.feature_extraction import TrainingFeatures, as_samples, prepare_features
from bigan_cli.model.feature_stream import FeatureStream
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.pretext import check_tasks, wanted_heads
from bigan_cli.model.process_group import ProcessGroup
from bigan_cli.model.trainer import Trainer
from bigan_cli.model.window_batches import PixelStream
from bigan_cli.plugins import Registry
from bigan_cli.plugins.instances import make_architecture, make_components
from bigan_cli.scoring.calibration import check_fpr, images_needed
from bigan_cli.scoring.default_components import DEFAULT_COMPONENTS
from bigan_cli.scoring.normal_images import NormalImages
from bigan_cli.scoring.usable_components import missing_requirement, usable_components
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
    """

    data: PreparedData
    architecture: Architecture
    components: list[ScoreComponent]
    device: torch.device
    registry: Registry
    callbacks: Callbacks
    group: ProcessGroup = field(default_factory=ProcessGroup)

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
        train = self.config.train
        train = train.model_copy(update={"seed": train.seed + member})
        features = self.features  # of the first member's networks, before they are dropped
        if member:
            self.__dict__.pop("networks", None)
        networks = self.networks if member == 0 else self._build(train.seed)
        images, validation = self.network_images
        if features is None:
            return Trainer(
                networks,
                train,
                images if self.data.stream is None else PixelStream(self.data.stream, images),
                validation,
                self.device,
                should_stop=should_stop,
                on_step=on_step,
                group=self.group,
            )
        networks.extractor.load_state_dict(features.normalisation, strict=False)  # type: ignore[union-attr]
        decoder = None
        if networks.decoder is not None:
            networks.decoder.to(self.device)
            decoder = DecoderTraining(
                networks, features.train, images, _DECODER_STEPS, train.seed, self.device
            )
        in_memory = as_samples(features.train, self.inside[0])
        samples: Samples | FeatureStream = in_memory
        if self.data.stream is not None:
            described = self.config.model.model_dump_json(include={"architecture", "options"})
            samples = FeatureStream(
                self.data.stream, networks, in_memory, self.device, described, self.inside[0]
            )
        return Trainer(
            networks,
            train,
            samples,
            as_samples(features.validation, self.inside[1]),
            self.device,
            should_stop=should_stop,
            on_step=on_step,
            decoder=decoder,
            group=self.group,
        )

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
        train = self.config.train
        train = train.model_copy(update={"seed": train.seed + member})
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

        They are the same for all members, and so is the normalisation.
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


@contextmanager
def prepare_training(
    loaded: LoadedConfig,
    callbacks: Callbacks,
    threads: int | None = None,
    group: ProcessGroup | None = None,
) -> Iterator[TrainingSetup]:
    """Find the device, read the images and build the networks; nothing is written.

    Meanwhile the arithmetic is repeatable (see :func:`repeatable_arithmetic`).

    Args:
        loaded: The configuration.
        callbacks: Receive notes about the data.
        threads: CPU threads to use, if not the default number.
        group: The processes that train each member together; by default this one alone.

    Raises:
        BiganError: The device is missing, the images cannot be read or are too few, or the
            score has no component that these networks support.
    """
    device = resolve_device(loaded.config.train.device)
    dataset = open_dataset(loaded.registry, loaded.config.data)
    data = prepare(
        dataset,
        loaded.config,
        progress=lambda done, total: callbacks.on_progress("reading images", done, total),
    )
    if data.protocol == "one-class" and not loaded.config.data.inlier:
        normal = data.class_names[data.normal_classes[0]]
        callbacks.note(f"note: no 'data.inlier' given, so class {normal} is taken as normal")
    for note in (*loaded.notes, *data.notes):
        callbacks.note(f"note: {note}")
    for warning in data.warnings:
        callbacks.warn(warning)
    with repeatable_arithmetic(device, data.input_shape, threads):
        _check_rate(data)
        architecture = make_architecture(loaded.registry, data.config.model)
        score = data.config.score
        names = score.components or DEFAULT_COMPONENTS
        components = make_components(loaded.registry, names, score)
        setup = TrainingSetup(
            data,
            architecture,
            components,
            device,
            loaded.registry,
            callbacks,
            group or ProcessGroup(),
        )
        check_tasks(data.config.train, on_feature_map=setup.networks.on_feature_map)
        # Checked now: a score that cannot be computed is found before training, not after.
        usable_components(setup.networks, components, score.weights)
        if data.folds is not None:
            _check_cross_fitting(setup)
        if score.components:  # named, so their absence is worth knowing
            _warn_of_left_out(setup, callbacks)
        yield setup


def _warn_of_left_out(setup: TrainingSetup, callbacks: Callbacks) -> None:
    """Warn of each score component that the networks do not support."""
    for component in setup.components:
        lacking = missing_requirement(component, setup.networks)
        if not lacking:
            continue
        key = f"{component.needs_head}_weight"
        why = f" ('train.{key}' is 0)" if getattr(setup.config.train, key, None) == 0 else ""
        callbacks.warn(f"score component '{component.name}' is left out: it needs {lacking}{why}")


def _check_rate(data: PreparedData) -> None:
    """Raise an error if the calibration images are too few for ``score.fpr``.

    Raises:
        DataError: They are; where cross-fitting would do, the hint says so.
    """
    fpr = data.config.score.fpr
    try:
        check_fpr(fpr, len(data.calibration))
    except DataError as error:
        normals = len(data.train) + len(data.validation) + len(data.calibration)
        if data.folds is None and normals >= images_needed(fpr) and error.hint:
            hint = f"{error.hint}; for architectures on features 'data.calibration=cross-fitting'"
            raise DataError(error.message, hint) from error
        raise


def _check_cross_fitting(setup: TrainingSetup) -> None:
    """Raise UsageError if the networks cannot be cross-fitted."""
    if not setup.networks.on_feature_map:
        raise UsageError(
            f"architecture '{setup.config.model.architecture}' works on pixels and cannot be "
            "calibrated by cross-fitting: every fold would be a full training",
            "set 'data.calibration=held-out', or 'model.architecture=features' for photographs",
        )
    if setup.data.tiling is not None:
        raise UsageError(
            "images that are cut into tiles cannot be calibrated on by cross-fitting",
            "set 'data.calibration=held-out'",
        )
    if setup.config.train.selection != "last":
        raise UsageError(
            "cross-fitting holds no images out to select an epoch with",
            "set 'train.selection=last', or 'data.calibration=held-out'",
        )
