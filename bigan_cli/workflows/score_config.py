"""The complete score configuration of a run: weights, options and versions of its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bigan_cli.config.schema import RunConfig
from bigan_cli.contracts import Options
from bigan_cli.errors import UsageError
from bigan_cli.plugins import PluginVersion, Registry
from bigan_cli.plugins.registry import ARCHITECTURE, COMPONENT, DATASET
from bigan_cli.scoring.default_components import DEFAULT_COMPONENTS


def plugin_versions_of(config: RunConfig, registry: Registry) -> tuple[PluginVersion, ...]:
    """Return which packages or files a run's dataset, architecture and components are from.

    Built-in ones are left out.
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
    """Return *config* with the weight of every component that it combines.

    A run stores its complete configuration, so that a later version of a plugin with another
    default weight does not change it.

    Raises:
        UsageError: All weights are zero.
        PluginError: A component is not installed.
    """
    score = config.score
    names = score.components or DEFAULT_COMPONENTS
    own = {name: float(registry.component(name).weight) for name in names}
    if not any(own.values()) and not score.weights:
        own = dict.fromkeys(own, 1.0)  # chosen, although by default each is only reported
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
    """Return *config* with default values for options that its plugins have gained since.

    By convention, the default of a new option keeps the previous behaviour.

    Raises:
        PluginError: The dataset, the architecture or a component is not installed.
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
    # Not validated: an option that no longer exists is reported when runs are compared.
    return {**kind.model_construct().model_dump(mode="json"), **table}
