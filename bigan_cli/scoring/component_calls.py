"""Calls to a score component's methods, with what they return checked against the contract.

Each raises a :class:`~bigan_cli.errors.PluginError` that names the component where its code
fails, or returns what it may not: a wrong score without a word would be worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bigan_cli.contracts import ScoreComponent
from bigan_cli.errors import BiganError, DataError, first_line, is_out_of_memory
from bigan_cli.formatting import one_line
from bigan_cli.plugins import BUILT_IN
from bigan_cli.plugins.faults import plugin_fault, plugin_faults, returned
from bigan_cli.scoring.network_outputs import LazyNetworkOutputs

# What torch raises where tensors do not fit together.
_MISFITS = (RuntimeError, IndexError, TypeError, ValueError)


@contextmanager
def _misfits(component: ScoreComponent) -> Iterator[None]:
    """Report a built-in component that cannot use its fitted tensors as a damaged model file."""
    try:
        yield
    except _MISFITS as error:
        built_in = component.provided_by.startswith(f"{BUILT_IN} ")
        if not built_in or isinstance(error, BiganError) or is_out_of_memory(error):
            raise
        raise DataError(
            f"the fitted tensors of score component '{component.name}' do not fit the networks of "
            f"the model: {one_line(first_line(error))}",
            "take another model file; if this one is as bigan wrote it, please report this",
        ) from error


def embed(component: ScoreComponent, outputs: LazyNetworkOutputs) -> Tensor | None:
    """Return the values for fitting of each image, ``[N, K]``, or None."""
    with plugin_faults(component, "embed()"):
        points: Any = component.embed(outputs)
    if points is not None:
        count = outputs.x.shape[0]
        if not isinstance(points, Tensor) or points.ndim < 2 or len(points) != count:
            raise plugin_fault(
                component,
                f"embed() of {count} images returned {returned(points)}, not [{count}, K]",
            )
    found: Tensor | None = points
    return found


def fit(
    component: ScoreComponent, embedded: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the tensors that the component learns from embedded training images."""
    with plugin_faults(component, "fit()"):
        fitted: Any = component.fit(embedded, generator)
    named = isinstance(fitted, dict) and all(isinstance(name, str) for name in fitted)
    if not named or not all(isinstance(value, Tensor) for value in fitted.values()):
        shown = returned(fitted)
        raise plugin_fault(component, f"fit() returned {shown}, not tensors by name")
    return dict(fitted)


def fit_limit(component: ScoreComponent) -> int | None:
    """Return the largest number of training images for fitting; None for all."""
    with plugin_faults(component, "fit_limit()"):
        limit: Any = component.fit_limit()
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise plugin_fault(component, f"fit_limit() returned {returned(limit)}, not a number")
    return limit


def score(
    component: ScoreComponent, outputs: LazyNetworkOutputs, fitted: Mapping[str, Tensor]
) -> Tensor:
    """Return the component's value of each image, ``[N]``."""
    with plugin_faults(component, "score()"), _misfits(component):
        values: Any = component.score(outputs, fitted)
    count = outputs.x.shape[0]
    good = isinstance(values, Tensor) and tuple(values.shape) == (count,)
    if not good or not values.is_floating_point():
        raise plugin_fault(
            component,
            f"score() of {count} images returned {returned(values)}, not floats [{count}]",
        )
    checked: Tensor = values
    return checked


def heatmap(
    component: ScoreComponent, outputs: LazyNetworkOutputs, fitted: Mapping[str, Tensor]
) -> Tensor | None:
    """Return the heatmaps, ``[N, h, w]``, or None if there are none."""
    with plugin_faults(component, "heatmap()"), _misfits(component):
        heat: Any = component.heatmap(outputs, fitted)
    if heat is not None:
        count = outputs.x.shape[0]
        good = (
            isinstance(heat, Tensor) and heat.ndim == 3 and heat.shape[0] == count and heat.numel()
        )
        if not good or not heat.is_floating_point():
            raise plugin_fault(
                component,
                f"heatmap() of {count} images returned {returned(heat)}, "
                f"not floats [{count}, h, w]",
            )
    found: Tensor | None = heat
    return found
