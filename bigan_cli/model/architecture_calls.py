"""Calls to an architecture's methods, with what they return checked against the contract.

Each raises a :class:`~bigan_cli.errors.PluginError` that names the architecture where its code
fails, or returns what it may not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bigan_cli.contracts import Architecture, ImageShape
from bigan_cli.formatting import one_line
from bigan_cli.plugins.faults import plugin_fault, plugin_faults, returned

if TYPE_CHECKING:
    from bigan_cli.model.networks import Networks

_EXTRACTOR_METHODS = ("raw", "normalise", "fit")


def build(
    architecture: Architecture, shape: ImageShape, latent_dim: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return (encoder, generator, discriminator) for inputs of *shape*."""
    with plugin_faults(architecture, f"build() for {shape}"):
        parts: Any = architecture.build(shape, latent_dim)
    three = isinstance(parts, tuple | list) and len(parts) == 3
    if not three or not all(isinstance(part, nn.Module) for part in parts):
        raise plugin_fault(
            architecture,
            f"build() returned {returned(parts)}, not (encoder, generator, discriminator)",
        )
    encoder, generator, discriminator = parts
    return encoder, generator, discriminator


def feature_extractor(
    architecture: Architecture, shape: ImageShape, *, pretrained: bool
) -> nn.Module | None:
    """Return the frozen extractor for images of *shape*; None for networks on pixels."""
    with plugin_faults(architecture, f"feature_extractor() for {shape}"):
        extractor: Any = architecture.feature_extractor(shape, pretrained=pretrained)
    if extractor is None:
        return None
    lacking = [n for n in _EXTRACTOR_METHODS if not callable(getattr(extractor, n, None))]
    if not isinstance(extractor, nn.Module) or lacking:
        without = f" without {', '.join(lacking)}" if isinstance(extractor, nn.Module) else ""
        raise plugin_fault(
            architecture,
            f"feature_extractor() returned {returned(extractor)}{without}, not a module with the "
            f"methods {', '.join(_EXTRACTOR_METHODS)}",
        )
    return extractor.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def feature_shape(
    architecture: Architecture, extractor: nn.Module, shape: ImageShape
) -> ImageShape:
    """Return K, h and w of the feature maps of images of *shape*."""
    with plugin_faults(architecture, f"its feature extractor, for images {shape}"):
        maps: Any = extractor(torch.zeros(1, shape.channels, shape.height, shape.width))
    if not isinstance(maps, Tensor) or maps.ndim != 4 or len(maps) != 1 or not maps.numel():
        raise plugin_fault(
            architecture, f"its feature extractor returned {returned(maps)}, not [1, K, h, w]"
        )
    layers: Any = getattr(extractor, "layer_channels", (maps.shape[1],))
    if not isinstance(layers, tuple) or sum(layers) != maps.shape[1]:
        raise plugin_fault(
            architecture,
            f"layer_channels of its feature extractor is {one_line(repr(layers))}, not numbers "
            f"that add up to its {maps.shape[1]} channels",
        )
    return ImageShape(*maps.shape[1:])


def decoder(
    architecture: Architecture, of_features: ImageShape, of_images: ImageShape
) -> nn.Module | None:
    """Return the network that draws images from feature maps, or None."""
    with plugin_faults(architecture, f"decoder() for {of_features}"):
        made: Any = architecture.decoder(of_features, of_images)
    if made is not None and not isinstance(made, nn.Module):
        raise plugin_fault(architecture, f"decoder() returned {returned(made)}, not a module")
    return made


@torch.no_grad()
def check_networks(architecture: Architecture, networks: Networks) -> None:
    """Call every network of *architecture* once, and check what it returns.

    Raises:
        PluginError: A network fails, or returns other shapes, types or values than it should.
    """
    shape, image = networks.input_shape, networks.image_shape
    positions = (shape.height, shape.width) if networks.on_feature_map else ()
    x = torch.rand(2, shape.channels, shape.height, shape.width) * 2 - 1
    z = torch.randn(2, networks.latent_dim, *positions)

    def call(part: str, function: Any, *inputs: Tensor) -> Any:
        order = "; is the order (encoder, generator, discriminator)?"
        with plugin_faults(architecture, f"its {part}, for images {image}{order}"):
            return function(*inputs)

    def check(part: str, output: Any, wanted: tuple[int | None, ...]) -> None:
        _check_output(architecture, f"the {part} for images {image}", output, wanted)

    networks.eval()
    drawn = call("generator", networks.generator, z)
    check("encoder's output", call("encoder", networks.encoder, x), tuple(z.shape))
    check("generator's output", drawn, tuple(x.shape))
    judged = call("discriminator", networks.discriminator, x, z)
    if not isinstance(judged, tuple) or len(judged) != 2:
        shown = returned(judged)
        raise plugin_fault(architecture, f"D returned {shown}, not (logits, features)")
    check("discriminator's logits", judged[0], (2, *positions))
    # Any number of features is allowed.
    check("discriminator's features", judged[1], (2, None, *positions))
    for owner, name in ((networks.encoder, "features"), (networks.discriminator, "image_features")):
        view = getattr(owner, name, None)
        if callable(view):
            check(f"output of {name}", call(name, view, x), (2, None, *positions))
    if networks.decoder is not None:
        drawn = call("decoder", networks.decoder, x)
        check("decoder's output", drawn, (2, image.channels, image.height, image.width))
    if (networks.decoder is not None or not networks.on_feature_map) and drawn.abs().max() > 1:
        part = "generator" if networks.decoder is None else "decoder"
        raise plugin_fault(architecture, f"the {part} leaves the range [-1, 1]")
    networks.train()


def _check_output(
    architecture: Architecture, subject: str, output: Any, wanted: tuple[int | None, ...]
) -> None:
    """Refuse what is not finite float32 of the shape *wanted*, in which None is any number."""
    shape = tuple(output.shape) if isinstance(output, Tensor) else ()
    fits = len(shape) == len(wanted) and all(
        side in (None, given) for side, given in zip(wanted, shape, strict=True)
    )
    if not fits or output.dtype != torch.float32:
        sides = ", ".join("F" if side is None else str(side) for side in wanted)
        raise plugin_fault(
            architecture, f"{subject} is {returned(output)}, expected float32 [{sides}]"
        )
    if not torch.isfinite(output).all():
        raise plugin_fault(architecture, f"{subject} is not finite")
