"""Everything that training needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from bigan_cli.cli.terminal import Terminal
from bigan_cli.config.load import LoadedConfig
from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Architecture, ScoreComponent
from bigan_cli.data.images import ImageSet
from bigan_cli.data.prepare import PARTS, PreparedData, open_dataset, prepare
from bigan_cli.model.cycle_discriminators import wanted_conditional
from bigan_cli.model.device import (
    limit_threads,
    resolve_device,
    resolve_precision,
    set_deterministic,
)
from bigan_cli.model.networks import Networks, build_networks
from bigan_cli.model.pretext import wanted_heads
from bigan_cli.model.trainer import Trainer
from bigan_cli.plugins import Registry
from bigan_cli.plugins.instances import make_architecture, make_components
from bigan_cli.scoring.defaults import DEFAULT_COMPONENTS
from bigan_cli.scoring.fit import usable_components


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that training needs.

    Attributes:
        data: The prepared images, and the configuration.
        architecture: Builds the networks.
        components: The score components to combine.
        device: Where to train.
        registry: The plugins that are there.
    """

    data: PreparedData
    architecture: Architecture
    components: list[ScoreComponent]
    device: torch.device
    registry: Registry

    @cached_property
    def networks(self) -> Networks:
        """The networks of the first member."""
        return self._build(self.data.config.train.seed)

    @property
    def precision(self) -> str:
        """The arithmetic that training will use."""
        return resolve_precision(
            self.data.config.train.precision, self.device, self.data.image_shape
        )

    @property
    def splits(self) -> dict[str, ImageSet]:
        """The sets of images by their names."""
        return {name: getattr(self.data, name) for name in PARTS}

    def trainer(
        self,
        member: int = 0,
        should_stop: Callable[[], bool] | None = None,
        on_step: Callable[[int, int, int], None] | None = None,
    ) -> Trainer:
        """Return a new trainer for a member, counted from 0; see :class:`Trainer`.

        All members learn from the same images. Member m has the seed of the run plus m, which
        decides its first weights, its order of the images and its noise.
        """
        if member:
            self.__dict__.pop("networks", None)  # those of the first need no longer be kept
        train = self.data.config.train
        train = train.model_copy(update={"seed": train.seed + member})
        return Trainer(
            self.networks if member == 0 else self._build(train.seed),
            train,
            self.data.fit.pixels,
            self.data.validation.pixels,
            self.device,
            should_stop=should_stop,
            on_step=on_step,
        )

    def _build(self, seed: int) -> Networks:
        config = self.data.config
        return build_networks(
            self.architecture,
            self.data.image_shape,
            config.model.latent_dim,
            seed,
            heads=wanted_heads(config.train, self.data.image_shape),
            conditional=wanted_conditional(config.train),
        )


def resolve(terminal: Terminal, loaded: LoadedConfig) -> TrainingSetup:
    """Find the device, read the images and build the networks; nothing is written."""
    device = resolve_device(loaded.config.train.device)
    dataset = open_dataset(loaded.registry, loaded.config.data)
    data = prepare(dataset, loaded.config)
    given = loaded.config.data
    if data.protocol == "one-class" and not given.inlier:
        normal = data.class_names[data.normal_classes[0]]
        terminal.note(f"note: no --inlier given, so class {normal} is taken as normal")
    for note in data.notes:
        terminal.note(f"note: {note}")
    limit_threads(data.image_shape)
    set_deterministic(device)
    data.calibration_check(loaded.config.score.fpr)
    config = data.config
    architecture = make_architecture(loaded.registry, config.model)
    components = score_components(loaded.registry, config)
    resolved = TrainingSetup(data, architecture, components, device, loaded.registry)
    usable_components(resolved.networks, components, config.score.weights)  # or no training
    return resolved


def score_components(registry: Registry, config: RunConfig) -> list[ScoreComponent]:
    """Return the components that the configuration names, or the default ones."""
    names = config.score.components or DEFAULT_COMPONENTS
    return make_components(registry, names, config.score)
