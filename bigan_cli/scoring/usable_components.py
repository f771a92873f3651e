"""Which score components the networks of a run support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bigan_cli.contracts import ScoreComponent
from bigan_cli.errors import UsageError
from bigan_cli.model.networks import Networks


def usable_components(
    networks: Networks, components: Sequence[ScoreComponent], weights: Mapping[str, float]
) -> list[ScoreComponent]:
    """Return those of *components* that *networks* support.

    Raises:
        UsageError: None is left, or all weights are zero.
    """
    lacking = {c.name: missing_requirement(c, networks) for c in components}
    usable = [c for c in components if not lacking[c.name]]
    if sum(weights.get(c.name, c.weight) for c in usable) <= 0:
        reasons = "; ".join(f"'{name}' needs {what}" for name, what in lacking.items() if what)
        raise UsageError(
            "no score component with a weight above zero is left"
            + (f": {reasons}" if reasons and not usable else ""),
            "see 'score.components' and 'score.weights'",
        )
    return usable


def missing_requirement(component: ScoreComponent, networks: Networks) -> str:
    """Return what *component* needs that *networks* do not have, or an empty string."""
    head, cycle = component.needs_head, component.requires_cycle_discriminator
    lacking = {
        "an architecture on features": component.needs_feature_map and not networks.on_feature_map,
        "an architecture on pixels": component.needs_pixels and networks.on_feature_map,
        "a discriminator with image_features": (
            component.needs_image_features and not networks.has_image_features
        ),
        "an encoder with features": (
            component.needs_encoder_features and not networks.has_encoder_features
        ),
        f"the head '{head}', which is not trained": head and head not in networks.heads,
        f"the {cycle} cycle discriminator, which is not trained": (
            cycle and cycle not in networks.cycle_discriminators
        ),
    }
    return next((what for what, lacks in lacking.items() if lacks), "")
