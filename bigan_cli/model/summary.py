"""A table of the layers of the networks: output shapes and numbers of parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from bigan_cli.model.cycle_discriminators import IMAGE
from bigan_cli.model.networks import Networks, apply_head


@dataclass(frozen=True)
class LayerRow:
    """One layer, or one network's total.

    Attributes:
        name: Its path, such as ``encoder.trunk.0``.
        kind: Its class.
        output: The shape of its output for one image, such as ``32x14x14``.
        parameters: Number of its trainable parameters.
    """

    name: str
    kind: str
    output: str
    parameters: int

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self)


def summarise(networks: Networks) -> list[LayerRow]:
    """Return a row per layer with weights, and a total per network; the networks are unchanged."""
    outputs = _outputs(networks)
    rows: list[LayerRow] = []
    for part, network in networks.named_children():
        for name, module in network.named_modules(prefix=part):
            parameters = sum(p.numel() for p in _own_parameters(module))
            # The parameters of a parametrization are counted in the row of its layer.
            if parameters and name in outputs and ".parametrizations" not in name:
                kind = type(module).__name__.removeprefix("Parametrized")
                rows.append(LayerRow(name, kind, outputs[name], parameters))
        total = sum(p.numel() for p in network.parameters())
        if total:  # there may be no heads, and no cycle discriminators
            rows.append(LayerRow(part, "total", outputs.get(part, ""), total))
    return rows


@torch.no_grad()
def _outputs(networks: Networks) -> dict[str, str]:
    """Return the output shape of each module for one image, such as ``32x14x14``."""
    outputs: dict[str, str] = {}
    handles: list[RemovableHandle] = []

    def remember(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            shape = "x".join(str(side) for side in first.shape[1:])
            outputs[name] = shape or "1"

        return hook

    for name, module in networks.named_modules():
        if name:
            handles.append(module.register_forward_hook(remember(name)))
    device = next(networks.parameters()).device
    shape = networks.input_shape
    training = networks.training
    networks.eval()
    x = torch.zeros(1, shape.channels, shape.height, shape.width, device=device)
    z = networks.encoder(x)
    networks.generator(z)
    networks.discriminator(x, z)
    if len(networks.heads):
        features = networks.discriminator.image_features(x)  # type: ignore[operator]
        for head in networks.heads.values():
            apply_head(head, features)
    for name, network in networks.cycle_discriminators.items():
        start = x if name == IMAGE else z
        network(start, start)
    networks.train(training)
    for handle in handles:
        handle.remove()
    return outputs


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a layer itself and of its parametrizations."""
    own = list(module.parameters(recurse=False))
    held = getattr(module, "parametrizations", None)
    return own + (list(held.parameters()) if isinstance(held, nn.Module) else [])
