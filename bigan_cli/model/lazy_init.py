"""Networks built without initialising their weights, which come from a file."""

from __future__ import annotations

import math
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

_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
# What networks may allocate beside their weights while they are built, in bytes.
_ALLOWANCE = 512_000_000


class MisfitError(ValueError):
    """Networks and the weights for them do not fit together."""


def build_uninitialized(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    heads: Mapping[str, int],
    cycle_discriminators: Sequence[str],
    weights: Mapping[str, Tensor],
) -> Networks:
    """Build networks whose weights come from a file; see :func:`build_networks`.

    Initialisation would take longer than the rest of loading. It is skipped, unless the file
    does not have all of their tensors.

    Args:
        architecture: The architecture.
        image_shape: Shape of the images.
        latent_dim: Length of the latent vector.
        heads: Name -> outputs of each head.
        cycle_discriminators: Names of the cycle discriminators.
        weights: The tensors of the file.

    Raises:
        MisfitError: The networks are not those of the weights; found out before much more memory
            than these take is allocated.
    """
    parts = heads, cycle_discriminators
    undrawn = _undrawn(architecture, image_shape, latent_dim, *parts, weights)
    return undrawn or build_networks(
        architecture, image_shape, latent_dim, 0, *parts, pretrained=False
    )


def _undrawn(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    heads: Mapping[str, int],
    cycle_discriminators: Sequence[str],
    weights: Mapping[str, Tensor],
) -> Networks | None:
    """Return the networks, or None if the file does not have all of their tensors."""
    limit = _ALLOWANCE + 2 * sum(weight.nbytes for weight in weights.values())
    with _SkipInitialisation(limit), torch.random.fork_rng(devices=[]):
        networks = assemble(architecture, image_shape, latent_dim, pretrained=False)
        # Before images pass through them, which takes memory in proportion to their widths.
        _check_fit(networks, weights)
        add_heads(networks, heads)
        add_cycle_discriminators(networks, cycle_discriminators)
    registered = {name for name, _ in chain(networks.named_parameters(), networks.named_buffers())}
    members = chain.from_iterable(vars(module).values() for module in networks.modules())
    if any(isinstance(member, Tensor) for member in members):
        return None
    return networks if registered <= networks.state_dict().keys() else None


def _check_fit(networks: Networks, weights: Mapping[str, Tensor]) -> None:
    for name, tensor in networks.state_dict().items():
        if name not in weights:
            raise MisfitError(f"there are no weights {name}")
        if weights[name].shape != tensor.shape:
            raise MisfitError(f"the weights {name} have another shape")


class _SkipInitialisation(TorchFunctionMode):
    """Skips the slow parts of torch's initialisers, in this thread only.

    Tensors of more than *limit* bytes together are refused with a :class:`MisfitError`.

    torch's meta device would do the same, but its first use imports torch's compiler, which
    takes longer than the rest of loading a model.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

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
        if func in _FACTORIES:
            self._left -= 4 * math.prod(_sizes(args, kwargs))
            if self._left < 0:
                raise MisfitError("they would be much larger than the weights in the file")
        return func(*args, **kwargs)


def _sizes(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[int]:
    """Return the sides of the tensor that a factory function of torch makes."""
    size = kwargs.get("size", args)
    if len(size) and isinstance(size[0], Sequence):
        size = size[0]
    return [side for side in size if isinstance(side, int)]
