"""Networks that are about to be filled from a file: built without drawing their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor
from torch.nn import init

from bigan_cli.contracts import Architecture, ImageShape
from bigan_cli.model.networks import (
    Networks,
    add_conditional,
    add_heads,
    assemble,
    build_networks,
)

# The initialisers of torch that draw random numbers.
_DRAWING = (
    *("normal_", "uniform_", "trunc_normal_", "orthogonal_", "sparse_"),
    *("xavier_normal_", "xavier_uniform_", "kaiming_normal_", "kaiming_uniform_"),
)


def build_uninitialized(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    heads: Mapping[str, int],
    conditional: Sequence[str],
) -> Networks:
    """Build networks whose weights come from a file; see :func:`build_networks`.

    They are not drawn, which would take longer than all else of loading, unless the file will
    not fill all of their tensors.
    """
    parts = heads, conditional
    undrawn = _undrawn(architecture, image_shape, latent_dim, *parts)
    return undrawn or build_networks(
        architecture, image_shape, latent_dim, 0, *parts, pretrained=False
    )


def _undrawn(
    architecture: Architecture,
    image_shape: ImageShape,
    latent_dim: int,
    heads: Mapping[str, int],
    conditional: Sequence[str],
) -> Networks | None:
    """Return the networks, or None where the file will not fill all of their tensors."""
    with _nothing_drawn(), torch.random.fork_rng(devices=[]):
        networks = assemble(architecture, image_shape, latent_dim, pretrained=False)
        add_heads(networks, heads)
        add_conditional(networks, conditional)
    registered = {name for name, _ in chain(networks.named_parameters(), networks.named_buffers())}
    members = chain.from_iterable(vars(module).values() for module in networks.modules())
    if any(isinstance(member, Tensor) for member in members):
        return None
    return networks if registered <= networks.state_dict().keys() else None


@contextmanager
def _nothing_drawn() -> Iterator[None]:
    """Let torch's initialisers leave the tensors that they are given as they are."""
    usual = {name: getattr(init, name) for name in _DRAWING}
    for name in _DRAWING:
        setattr(init, name, lambda tensor, *_, **__: tensor)
    try:
        yield
    finally:
        for name, function in usual.items():
            setattr(init, name, function)
