"""Networks built without initialising their weights, which come from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from bigan_cli.contracts import Architecture, ImageShape
from bigan_cli.model.networks import (
    Networks,
    add_cycle_discriminators,
    add_heads,
    assemble,
    build_networks,
)


def build_uninitialized(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    heads: Mapping[str, int],
    cycle_discriminators: Sequence[str],
) -> Networks:
    """Build networks whose weights come from a file; see :func:`build_networks`.

    Initialisation would take longer than the rest of loading. It is skipped, unless the file
    does not have all of their tensors.
    """
    parts = heads, cycle_discriminators
    undrawn = _undrawn(architecture, image_shape, latent_dim, *parts)
    return undrawn or build_networks(
        architecture, image_shape, latent_dim, 0, *parts, pretrained=False
    )


def _undrawn(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    heads: Mapping[str, int],
    cycle_discriminators: Sequence[str],
) -> Networks | None:
    """Return the networks, or None if the file does not have all of their tensors."""
    with _SkipInitialisation(), torch.random.fork_rng(devices=[]):
        networks = assemble(architecture, image_shape, latent_dim, pretrained=False)
        add_heads(networks, heads)
        add_cycle_discriminators(networks, cycle_discriminators)
    registered = {name for name, _ in chain(networks.named_parameters(), networks.named_buffers())}
    members = chain.from_iterable(vars(module).values() for module in networks.modules())
    if any(isinstance(member, Tensor) for member in members):
        return None
    return networks if registered <= networks.state_dict().keys() else None


class _SkipInitialisation(TorchFunctionMode):
    """Skips the slow parts of torch's initialisers, in this thread only.

    torch's meta device would do the same, but its first use imports torch's compiler, which
    takes longer than the rest of loading a model.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        # Random numbers are not skipped: trunc_normal_ repeats until all are within its bounds.
        if getattr(func, "__module__", "") == init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        if func is torch.linalg.qr:  # the costly part of an orthogonal initialisation
            matrix: Tensor = args[0]
            return matrix, matrix[: matrix.shape[1]]
        return func(*args, **kwargs)
