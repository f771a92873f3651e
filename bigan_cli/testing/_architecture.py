"""The checks of an architecture: three networks for every image shape it supports."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from bigan_cli.config.schema import TrainConfig
from bigan_cli.contracts import Architecture, ImageShape
from bigan_cli.errors import UsageError
from bigan_cli.model.batches import Samples
from bigan_cli.model.networks import Networks, assemble
from bigan_cli.model.trainer import Trainer
from bigan_cli.plugins.registry import ARCHITECTURE
from bigan_cli.testing._checks import (
    ContractViolation,
    NotApplicable,
    cached_fixture,
    check,
    require,
    shorten,
)
from bigan_cli.testing._network_checks import (
    ABSOLUTE,
    BATCH,
    RELATIVE,
    check_gradients,
    check_outputs,
    check_positions,
    inputs_of,
    latents_of,
    outputs_of,
    positions_of,
    random_images,
    recorded_results,
)
from bigan_cli.testing._plugin import PluginKit


class ArchitectureKit(PluginKit):
    """The checks of an architecture.

    Args:
        cls: The architecture.
        options: Its options, as in a config file.
        shapes: The image shapes to build it for.
        latent_dim: Length of the latent vector.
    """

    kind = ARCHITECTURE

    def __init__(
        self,
        cls: type[Architecture],
        options: Mapping[str, Any] | None,
        shapes: Sequence[ImageShape],
        latent_dim: int,
    ) -> None:
        super().__init__(cls, options)
        self.shapes = shapes
        self.latent_dim = latent_dim

    def _build(self, shape: ImageShape, seed: int = 0, latent_dim: int = 0) -> Networks:
        latent_dim = latent_dim or self.latent_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            architecture = self.cls(self.options)
            if architecture.feature_extractor(shape, pretrained=False) is not None:
                torch.manual_seed(seed)
                return assemble(architecture, shape, latent_dim, pretrained=False)
            parts = architecture.build(shape, latent_dim)
        three = isinstance(parts, tuple) and len(parts) == 3
        require(
            three and all(isinstance(part, nn.Module) for part in parts),
            f"build() returned {parts!r:.80}, not (encoder, generator, discriminator)",
        )
        encoder, generator, discriminator = parts
        return Networks(encoder, generator, discriminator, shape, latent_dim)

    @cached_fixture
    def _built(self) -> tuple[dict[ImageShape, Networks], dict[ImageShape, str]]:
        """Networks by shape, and the messages with which other shapes were refused."""
        built: dict[ImageShape, Networks] = {}
        refused: dict[ImageShape, str] = {}
        for shape in self.shapes:
            try:
                built[shape] = self._build(shape)
            except UsageError as error:
                refused[shape] = error.message
            except ContractViolation:
                raise
            except Exception as error:
                raise ContractViolation(
                    f"build() for images {shape} raises {type(error).__name__}: {error}; raise "
                    "a bigan_cli.errors.UsageError for a shape that is not supported"
                ) from error
        require(bool(built), f"it supports none of {shorten(self.shapes, 20)}")
        return built, refused

    def _networks(self) -> Iterator[tuple[ImageShape, Networks]]:
        for shape, networks in self._built[0].items():
            yield shape, copy.deepcopy(networks)

    @property
    def _smallest(self) -> ImageShape:
        return min(self._built[0], key=lambda s: s.channels * s.height * s.width)

    @check
    def builds(self) -> str:
        """Three networks are built for image shapes from 8x8 to 256x256."""
        built, refused = self._built
        for shape, words in refused.items():
            clear = len(words.split()) >= 3 and "\n" not in words
            require(clear, f"images {shape} are refused without a clear reason: {words!r}")
        others = f"; refuses {shorten(refused)}: {next(iter(refused.values()))}" if refused else ""
        return f"{len(built)} shapes of {len(self.shapes)}{others}"

    @check
    def any_latent_dim_is_supported(self) -> str:
        """Networks are built for latent vectors of any length from 1."""
        for latent_dim in (1, 33):
            networks = self._build(self._smallest, latent_dim=latent_dim).eval()
            with torch.no_grad():
                z = networks.encoder(inputs_of(networks))
            require(
                tuple(z.shape) == (BATCH, latent_dim, *positions_of(networks)),
                f"with latent_dim {latent_dim}, the encoder returns {tuple(z.shape)}",
            )
        return ""

    @check
    def outputs_have_their_shapes(self) -> str:
        """E returns [N, d], G [N, C, H, W] in [-1, 1], D [N] and [N, F], all finite.

        On feature maps E returns [N, d, h, w], G [N, K, h, w], D [N, h, w] and [N, F, h, w].
        """
        for shape, networks in self._networks():
            for training in (False, True):
                networks.train(training)
                with torch.no_grad():
                    check_outputs(shape, networks)
        return ""

    @check
    def gradients_are_finite(self) -> str:
        """Every weight has a gradient, and all gradients are finite."""
        for shape, networks in self._networks():
            check_gradients(shape, networks.train())
        return ""

    @check
    def eval_is_repeatable(self) -> str:
        """In eval() the outputs are deterministic, and no weight or buffer changes."""
        for shape, networks in self._networks():
            networks.eval()
            before = {name: value.clone() for name, value in networks.state_dict().items()}
            first, second = (outputs_of(networks, inputs_of(networks)) for _ in range(2))
            for part, output in first.items():
                require(
                    torch.equal(output, second[part]),
                    f"in eval() the {part} differs from call to call for images {shape}",
                )
            changed = [n for n, v in networks.state_dict().items() if not torch.equal(v, before[n])]
            require(not changed, f"in eval() the networks change {shorten(changed)}")
        return ""

    @check
    def eval_is_independent_of_the_batch(self) -> str:
        """In eval() the outputs for an image do not depend on the other images of the batch."""
        for shape, networks in self._networks():
            networks.eval()
            x = inputs_of(networks)
            together = outputs_of(networks, x)
            for i in range(len(x)):
                for part, alone in outputs_of(networks, x[i : i + 1], start=i).items():
                    difference = (alone[0] - together[part][i]).abs().max().item()
                    require(
                        torch.allclose(alone[0], together[part][i], RELATIVE, ABSOLUTE),
                        f"in eval() the {part} of an image {shape} changes by {difference:.2g} "
                        "with the other images of the batch (a batch statistic?)",
                    )
        return ""

    @check
    def features_are_not_modified(self) -> str:
        """E(x) and D(x, z) do not modify the results of features(x) and image_features(x)."""
        for shape, networks in self._networks():
            networks.eval()
            x, z = inputs_of(networks), latents_of(networks)
            for name, module, inputs in (
                ("features", networks.encoder, (x,)),
                ("image_features", networks.discriminator, (x, z)),
            ):
                given = recorded_results(name, module, inputs)
                require(
                    all(torch.equal(kept, tensor) for kept, tensor in given),
                    f"the result of {name}(x) is modified in place for images {shape}: "
                    "scores use it too",
                )
        return ""

    @check
    def the_seed_decides_the_weights(self) -> str:
        """The same seed of torch gives the same weights, another seed different ones."""
        one, same, other = (self._build(self._smallest, seed) for seed in (1, 1, 2))
        for part in ("encoder", "generator", "discriminator"):
            weights = [getattr(n, part).state_dict() for n in (one, same, other)]
            require(_equal(weights[0], weights[1]), f"the {part}'s weights differ for one seed")
            require(
                not _equal(weights[0], weights[2]),
                f"the {part}'s weights are the same for two seeds: draw them from torch's "
                "global generator, and do not seed it",
            )
        return ""

    @check
    def weights_survive_saving(self) -> str:
        """Networks rebuilt from saved weights have the same outputs, bit for bit."""
        for shape, networks in self._networks():
            networks.eval()
            payload = save({n: v.contiguous() for n, v in networks.state_dict().items()})
            rebuilt = self._build(shape, seed=9)
            rebuilt.load_state_dict(load(payload))
            x = inputs_of(networks)
            kept, loaded = outputs_of(networks, x), outputs_of(rebuilt.eval(), x)
            for part, output in kept.items():
                require(
                    torch.equal(output, loaded[part]),
                    f"the {part} for images {shape} differs after saving and loading: "
                    "something it needs is not in its state_dict()",
                )
        return ""

    @check
    def it_can_be_trained(self) -> str:
        """Two epochs of training have finite losses."""
        shape = self._smallest
        networks, rng = self._build(shape), np.random.default_rng(0)
        config = TrainConfig(epochs=2, batch_size=8, seed=0, device="cpu", precision="fp32")
        samples: Samples
        if networks.on_feature_map:
            size = (16, networks.input_shape.channels, 1, 1)
            samples = rng.standard_normal(size).astype(np.float16)
            config = config.model_copy(update={"distortions": ("feature_noise",)})
        else:
            size = (16, shape.channels, shape.height, shape.width)
            samples = rng.integers(0, 256, size, dtype=np.uint8)
        trainer = Trainer(networks, config, samples, samples[:8], torch.device("cpu"))
        records = list(trainer.epochs())
        require(
            all(math.isfinite(v) for record in records for v in record.losses.values()),
            f"the losses are {dict(records[-1].losses)}",
        )
        return f"two epochs on images {shape}"

    @check
    def features_keep_their_contract(self) -> str:
        """On features: a frozen extractor, normalise(raw(x)), independent positions, a decoder."""
        shape, networks = next(self._networks())
        if networks.extractor is None:
            raise NotApplicable("it works on pixels")
        networks.eval()
        extractor: Any = networks.extractor
        trained = [name for name, p in extractor.named_parameters() if p.requires_grad]
        require(not trained, f"the feature extractor is not frozen: {shorten(trained)}")
        images = random_images(shape)
        with torch.no_grad():
            f = networks.inputs(images)
            same = torch.allclose(extractor.normalise(extractor.raw(images)), f, RELATIVE)
            require(same, "the feature extractor is not normalise(raw(x))")
            vectors = extractor.raw(images).movedim(1, -1).flatten(0, 2)
            extractor.fit(torch.cat([vectors, vectors + 1]))
            if networks.decoder is not None:
                drawn = networks.decoder(f)
                good = drawn.shape == images.shape and drawn.abs().max() <= 1
                require(good, f"the decoder returns {tuple(drawn.shape)}, or leaves [-1, 1]")
            check_positions(networks)
        return f"feature maps {tuple(f.shape[1:])} of images {shape}"


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())
