"""torch.compile for training."""

from __future__ import annotations

import logging

import torch

from bigan_cli.model.networks import Networks


def compile_networks(networks: Networks, device: torch.device) -> None:
    """Compile *networks* in place, at their first calls.

    On a CPU the discriminators are not compiled: compiled spectral normalisation made steps a
    third slower there, and took 90 seconds to compile.
    """
    # The compiler looks for CUDA even on a CPU, and logs that there is none.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    networks.encoder.compile(dynamic=False)
    networks.generator.compile(dynamic=False)
    if device.type == "cpu":
        return
    for network in (networks.discriminator, *networks.cycle_discriminators.values()):
        network.compile(dynamic=False)
    if networks.has_image_features:
        compiled = torch.compile(networks.discriminator.image_features, dynamic=False)  # type: ignore[arg-type]
        # In __dict__: as an attribute it would be registered as a submodule.
        networks.discriminator.__dict__["image_features"] = compiled


def is_compile_error(error: BaseException) -> bool:
    """Return whether *error* is from the compiler, or from the lack of one."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
