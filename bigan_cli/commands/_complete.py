"""What a run keeps of its plugins: the weights of its components, and whence each of them came."""

from __future__ import annotations

from bigan_cli.config.schema import RunConfig
from bigan_cli.detect.recommended import RECOMMENDED
from bigan_cli.errors import UsageError
from bigan_cli.plugins import PluginOrigin, Registry
from bigan_cli.plugins.registry import ARCHITECTURE, COMPONENT, DATASET


def origins_of_run(config: RunConfig, registry: Registry) -> tuple[PluginOrigin, ...]:
    """Return whence the data set, the architecture and the components of a run came.

    What comes with bigan is left out.
    """
    components = config.score.components or RECOMMENDED
    return registry.origins_of(
        [
            (DATASET, config.data.dataset),
            (ARCHITECTURE, config.model.architecture),
            *((COMPONENT, name) for name in components),
        ]
    )


def with_weights(config: RunConfig, registry: Registry) -> RunConfig:
    """Return *config* with the weight of every component that it combines written in.

    A run keeps its complete configuration: with another version of a plugin, whose class has
    another weight, it is still the same run.

    Raises:
        UsageError: All weights are zero.
        PluginError: A component is not there.
    """
    score = config.score
    usual = {name: float(registry.component(name).weight) for name in score.components}
    combined = {
        name: score.weights.get(name, weight) for name, weight in (usual or RECOMMENDED).items()
    }
    if not any(combined.values()):
        names = ", ".join(combined)
        raise UsageError(
            f"every score component has weight 0: {names}",
            f"give one a weight: --set score.weights.{next(iter(combined))}=1",
        )
    weights = {**combined, **score.weights}
    return config.model_copy(update={"score": score.model_copy(update={"weights": weights})})
