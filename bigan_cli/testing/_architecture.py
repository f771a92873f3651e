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
from bigan_cli.testing._plugin import PluginKit

_BATCH = 3
# The order of summation depends on the batch size.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


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
                z = networks.encoder(_inputs(networks))
            require(
                tuple(z.shape) == (_BATCH, latent_dim, *_positions(networks)),
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
                    _check_outputs(shape, networks)
        return ""

    @check
    def gradients_are_finite(self) -> str:
        """Every weight has a gradient, and all gradients are finite."""
        for shape, networks in self._networks():
            _check_gradients(shape, networks.train())
        return ""

    @check
    def eval_is_repeatable(self) -> str:
        """In eval() the outputs are deterministic, and no weight or buffer changes."""
        for shape, networks in self._networks():
            networks.eval()
            before = {name: value.clone() for name, value in networks.state_dict().items()}
            first, second = (_outputs(networks, _inputs(networks)) for _ in range(2))
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
            x = _inputs(networks)
            together = _outputs(networks, x)
            for i in range(len(x)):
                for part, alone in _outputs(networks, x[i : i + 1], start=i).items():
                    difference = (alone[0] - together[part][i]).abs().max().item()
                    require(
                        torch.allclose(alone[0], together[part][i], _RELATIVE, _ABSOLUTE),
                        f"in eval() the {part} of an image {shape} changes by {difference:.2g} "
                        "with the other images of the batch (a batch statistic?)",
                    )
        return ""

    @check
    def features_are_not_modified(self) -> str:
        """E(x) and D(x, z) do not modify the results of features(x) and image_features(x)."""
        for shape, networks in self._networks():
            networks.eval()
            x, z = _inputs(networks), _latents(networks)
            for name, module, inputs in (
                ("features", networks.encoder, (x,)),
                ("image_features", networks.discriminator, (x, z)),
            ):
                given = _given_by(name, module, inputs)
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
            x = _inputs(networks)
            kept, loaded = _outputs(networks, x), _outputs(rebuilt.eval(), x)
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
        images = _images(shape)
        with torch.no_grad():
            f = networks.inputs(images)
            same = torch.allclose(extractor.normalise(extractor.raw(images)), f, _RELATIVE)
            require(same, "the feature extractor is not normalise(raw(x))")
            vectors = extractor.raw(images).movedim(1, -1).flatten(0, 2)
            extractor.fit(torch.cat([vectors, vectors + 1]))
            if networks.decoder is not None:
                drawn = networks.decoder(f)
                good = drawn.shape == images.shape and drawn.abs().max() <= 1
                require(good, f"the decoder returns {tuple(drawn.shape)}, or leaves [-1, 1]")
            _check_positions(networks)
        return f"feature maps {tuple(f.shape[1:])} of images {shape}"


def _check_positions(networks: Networks) -> None:
    """Check that E, G and D compute each position from that position alone."""
    channels = networks.input_shape.channels
    f = torch.randn((1, channels, 2, 2), generator=torch.Generator().manual_seed(7))
    z = networks.encoder(f)
    outputs = {
        "encoder": (networks.encoder, (f,), z),
        "generator": (networks.generator, (z,), networks.generator(z)),
        "discriminator": (networks.discriminator, (f, z), networks.discriminator(f, z)[0]),
    }
    for part, (network, inputs, whole) in outputs.items():
        first = network(*(x[..., :1, :1] for x in inputs))
        alone = first[0] if isinstance(first, tuple) else first
        require(
            torch.allclose(alone, whole[..., :1, :1], _RELATIVE, _ABSOLUTE),
            f"the {part}'s output at a position depends on the other positions",
        )


def _positions(networks: Networks) -> tuple[int, ...]:
    """Return h and w of the feature map, or nothing for networks on pixels."""
    shape = networks.input_shape
    return (shape.height, shape.width) if networks.on_feature_map else ()


def _inputs(networks: Networks) -> Tensor:
    """Return what E and D see: images, or feature maps of the same range."""
    return _images(networks.input_shape)


def _images(shape: ImageShape) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    size = (_BATCH, shape.channels, shape.height, shape.width)
    return torch.rand(size, generator=generator) * 2 - 1


def _latents(networks: Networks) -> Tensor:
    size = (_BATCH, networks.latent_dim, *_positions(networks))
    return torch.randn(size, generator=torch.Generator().manual_seed(6))


@torch.no_grad()
def _outputs(networks: Networks, x: Tensor, start: int = 0) -> dict[str, Tensor]:
    """Return every output for the images *x*, which are those from *start* on of a batch."""
    z = _latents(networks)[start : start + len(x)]
    logits, features = networks.discriminator(x, z)
    outputs = {
        "encoder's output": networks.encoder(x),
        "generator's output": networks.generator(z),
        "discriminator's logit": logits,
        "discriminator's features": features,
    }
    if networks.has_image_features:
        outputs["discriminator's image_features"] = networks.discriminator.image_features(x)  # type: ignore[operator]
    return outputs


@torch.no_grad()
def _given_by(
    name: str, module: nn.Module, inputs: tuple[Tensor, ...]
) -> list[tuple[Tensor, Tensor]]:
    """Return the results of the method *name* in a call of *module*: copy and tensor."""
    method = getattr(module, name, None)
    given: list[tuple[Tensor, Tensor]] = []
    if not callable(method):
        return given

    def recorded(x: Tensor) -> Tensor:
        result: Tensor = method(x)
        given.append((result.clone(), result))
        return result

    module.__dict__[name] = recorded
    try:
        module(*inputs)
    finally:
        del module.__dict__[name]
    return given


def _check_outputs(shape: ImageShape, networks: Networks) -> None:
    x, positions = _inputs(networks), _positions(networks)
    outputs = _outputs(networks, x)
    wanted: dict[str, tuple[int, ...]] = {
        "encoder's output": (_BATCH, networks.latent_dim, *positions),
        "generator's output": tuple(x.shape),
        "discriminator's logit": (_BATCH, *positions),
    }
    mode = "train()" if networks.training else "eval()"
    for part, output in outputs.items():
        given = tuple(output.shape)
        where = f"the {part} for images {shape} in {mode}"
        features = (given[:1], given[2:]) == ((_BATCH,), positions)
        good = given == wanted[part] if part in wanted else len(given) >= 2 and features
        expected = wanted.get(part, f"({_BATCH}, F)")
        require(good, f"{where} has shape {given}, expected {expected}")
        require(output.dtype == torch.float32, f"{where} is {output.dtype}, not float32")
        require(bool(torch.isfinite(output).all()), f"{where} is not finite")
    reach = outputs["generator's output"].abs().max().item()
    require(
        networks.on_feature_map or reach <= 1,
        f"the generator leaves [-1, 1] for images {shape}: {reach:.3g}",
    )


def _check_gradients(shape: ImageShape, networks: Networks) -> None:
    x, z = _inputs(networks), _latents(networks)
    encoded, generated = networks.encoder(x), networks.generator(z)
    real, real_features = networks.discriminator(x, encoded)
    fake, fake_features = networks.discriminator(generated, z)
    loss = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
    loss = loss + (x - networks.generator(encoded)).abs().mean()
    loss = loss + (z - networks.encoder(generated)).square().mean()
    loss = loss + (real_features - fake_features).square().mean()
    if networks.has_image_features:
        features: Tensor = networks.discriminator.image_features(x)  # type: ignore[operator]
        loss = loss + features.square().mean()
    loss.backward()
    weights = [
        (name, p.grad)
        for name, p in networks.named_parameters()
        if p.requires_grad and not name.startswith("decoder.")  # trained by itself
    ]
    idle = [name for name, gradient in weights if gradient is None]
    require(not idle, f"for images {shape} no gradient reaches {shorten(idle)}")
    wild = [name for name, g in weights if g is not None and not torch.isfinite(g).all()]
    require(not wild, f"for images {shape} the gradient of {shorten(wild)} is not finite")


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())
