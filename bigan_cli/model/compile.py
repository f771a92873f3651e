"""torch.compile for the networks that are trained."""

from __future__ import annotations

import logging

import torch

from bigan_cli.model.networks import Networks


def compile_networks(networks: Networks, device: torch.device) -> None:
    """Have kernels made for *networks* at their first calls, in place; weights stay as they are.

    On a CPU the discriminators are left out: compiled spectral normalisation made whole steps a
    third slower there (and took a minute and a half to compile).
    """
    # The compiler looks for CUDA even for a CPU, and tells of what it does not find.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    networks.encoder.compile(dynamic=False)
    networks.generator.compile(dynamic=False)
    if device.type == "cpu":
        return
    for network in (networks.discriminator, *networks.cycle_discriminators.values()):
        network.compile(dynamic=False)
    if networks.has_image_features:
        compiled = torch.compile(networks.discriminator.image_features, dynamic=False)  # type: ignore[arg-type]
        # Not as an attribute of the module: that would be one more submodule.
        networks.discriminator.__dict__["image_features"] = compiled


def is_compile_error(error: BaseException) -> bool:
    """Return whether the compiler, or the lack of one, is to blame for *error*."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
