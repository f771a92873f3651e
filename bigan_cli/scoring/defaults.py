"""The score that images get where the configuration does not say how they are scored."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "distortion": 2.0,
    "rotation": 1.0,
    "shift": 1.0,
    "flip": 1.0,
    "encoder_neighbours": 1.0,
    "latent_neighbours": 1.0,
    "image_neighbours": 1.0,
    "cycle_matching": 1.0,
    "reconstruction": 0.0,
    "discriminator": 0.0,
}
"""The components that are combined where the configuration names none, with their weights.

What E and D have learned of the normals tells most: how distorted D finds the image, and how far
it lies from the normals. What it is rebuilt as shows where it differs, and what D makes of the
pair is the original BiGAN score: both are reported and do not count.
"""
