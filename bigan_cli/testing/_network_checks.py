"""The outputs and gradients of networks for random inputs, and checks of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bigan_cli.contracts import ImageShape
from bigan_cli.model.networks import Networks
from bigan_cli.testing._checks import require, shorten

BATCH = 3
# The order of summation depends on the batch size.
RELATIVE, ABSOLUTE = 1e-3, 1e-4


def check_positions(networks: Networks) -> None:
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
            torch.allclose(alone, whole[..., :1, :1], RELATIVE, ABSOLUTE),
            f"the {part}'s output at a position depends on the other positions",
        )


def positions_of(networks: Networks) -> tuple[int, ...]:
    """Return h and w of the feature map, or nothing for networks on pixels."""
    shape = networks.input_shape
    return (shape.height, shape.width) if networks.on_feature_map else ()


def inputs_of(networks: Networks) -> Tensor:
    """Return what E and D see: images, or feature maps of the same range."""
    return random_images(networks.input_shape)


def random_images(shape: ImageShape) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    size = (BATCH, shape.channels, shape.height, shape.width)
    return torch.rand(size, generator=generator) * 2 - 1


def latents_of(networks: Networks) -> Tensor:
    size = (BATCH, networks.latent_dim, *positions_of(networks))
    return torch.randn(size, generator=torch.Generator().manual_seed(6))


@torch.no_grad()
def outputs_of(networks: Networks, x: Tensor, start: int = 0) -> dict[str, Tensor]:
    """Return every output for the images *x*, which are those from *start* on of a batch."""
    z = latents_of(networks)[start : start + len(x)]
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
def recorded_results(
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


def check_outputs(shape: ImageShape, networks: Networks) -> None:
    x, positions = inputs_of(networks), positions_of(networks)
    outputs = outputs_of(networks, x)
    wanted: dict[str, tuple[int, ...]] = {
        "encoder's output": (BATCH, networks.latent_dim, *positions),
        "generator's output": tuple(x.shape),
        "discriminator's logit": (BATCH, *positions),
    }
    mode = "train()" if networks.training else "eval()"
    for part, output in outputs.items():
        given = tuple(output.shape)
        where = f"the {part} for images {shape} in {mode}"
        features = (given[:1], given[2:]) == ((BATCH,), positions)
        good = given == wanted[part] if part in wanted else len(given) >= 2 and features
        expected = wanted.get(part, f"({BATCH}, F)")
        require(good, f"{where} has shape {given}, expected {expected}")
        require(output.dtype == torch.float32, f"{where} is {output.dtype}, not float32")
        require(bool(torch.isfinite(output).all()), f"{where} is not finite")
    reach = outputs["generator's output"].abs().max().item()
    require(
        networks.on_feature_map or reach <= 1,
        f"the generator leaves [-1, 1] for images {shape}: {reach:.3g}",
    )


def check_gradients(shape: ImageShape, networks: Networks) -> None:
    x, z = inputs_of(networks), latents_of(networks)
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
