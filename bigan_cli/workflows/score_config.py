"""What a run keeps of its plugins: weights and options of its components, and whence they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Options
from bigan_cli.errors import UsageError
from bigan_cli.plugins import PluginVersion, Registry
from bigan_cli.plugins.registry import ARCHITECTURE, COMPONENT, DATASET
from bigan_cli.scoring.defaults import DEFAULT_COMPONENTS


def plugin_versions_of(config: RunConfig, registry: Registry) -> tuple[PluginVersion, ...]:
    """Return whence the data set, the architecture and the components of a run came.

    What comes with bigan is left out.
    """
    components = config.score.components or DEFAULT_COMPONENTS
    return registry.versions_of(
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
    names = score.components or DEFAULT_COMPONENTS
    own = {name: float(registry.component(name).weight) for name in names}
    if not any(own.values()) and not score.weights:
        own = dict.fromkeys(own, 1.0)  # named on purpose, though each is only reported otherwise
    combined = {name: score.weights.get(name, weight) for name, weight in own.items()}
    if not any(combined.values()):
        listed = ", ".join(combined)
        raise UsageError(
            f"every score component has weight 0: {listed}",
            f"give one a weight: 'score.weights.{next(iter(combined))}=1'",
        )
    weights = {**combined, **score.weights}
    return config.model_copy(update={"score": score.model_copy(update={"weights": weights})})


def with_options(config: RunConfig, registry: Registry) -> RunConfig:
    """Return *config* with the options that what it uses has gained since, as by default.

    That is its data set, its architecture and its components. An option that a later version
    adds does by default what was done before.

    Raises:
        PluginError: One of them is not there.
    """
    data, model, score = config.data, config.model, config.score
    options = {
        name: _with_defaults(registry.component(name).Options, table)
        for name, table in score.options.items()
    }
    of_data = _with_defaults(registry.dataset(data.dataset).Options, data.options)
    of_model = _with_defaults(registry.architecture(model.architecture).Options, model.options)
    return config.model_copy(
        update={
            "data": data.model_copy(update={"options": of_data}),
            "model": model.model_copy(update={"options": of_model}),
            "score": score.model_copy(update={"options": options}),
        }
    )


def _with_defaults(kind: type[Options], table: Mapping[str, Any]) -> dict[str, Any]:
    # Not validated: an option may be gone, which is for the comparison of runs to tell.
    return {**kind.model_construct().model_dump(mode="json"), **table}
