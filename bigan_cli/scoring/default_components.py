"""The score components that are used where the configuration names none."""

from __future__ import annotations

DEFAULT_COMPONENTS = (
    "distortion",
    "rotation",
    "shift",
    "flip",
    "encoder_neighbours",
    "latent_neighbours",
    "discriminator_neighbours",
    "cycle_matching",
    "reconstruction",
    "discriminator",
)
"""Each counts with its class's weight; those that the networks lack a head for are left out.

The auxiliary heads and the distances to training features are the most informative. The
reconstruction error, which the maps show, and the original BiGAN score, D's output for the pair,
are reported and have weight 0.
"""
