"""Checks the saved state of a trainer, and loads that of an optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_COUNTS = ("average_updates", "epoch", "steps_done", "best_epoch")
_MOST = 2**53
_FROZEN = "extractor."


def check_state(state: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Check that *state* is one of a trainer with the same arguments as that of *present*.

    Args:
        state: What was saved.
        present: The state of a trainer that has not trained yet.

    Raises:
        ValueError: It is not; the message names the part.
    """
    _require("state", state.keys() == present.keys())
    for name in _COUNTS:
        _require(name, _is_count(state[name]))
    _require("best_epoch", state["best_epoch"] <= state["epoch"])
    _require("best_validation", isinstance(state["best_validation"], float))
    _require("best_validation", not math.isnan(state["best_validation"]))
    for name in ("networks", "average"):
        _check_tensors(name, state[name], present[name])
    if state["best_epoch"]:
        _check_tensors("best_weights", state["best_weights"], present["average"])
    else:
        _require("best_weights", state["best_weights"] == {})
    for name in ("d_optimiser", "eg_optimiser", "decoder_optimiser"):
        if present[name] is None:
            _require(name, state[name] is None)
        else:
            _check_optimiser(name, state[name], present[name])
    sums = state["sums"]
    _require("sums", isinstance(sums, Tensor) and sums.is_floating_point())
    _require("sums", tuple(sums.shape) == (state["steps_done"], present["sums"].shape[1]))
    _require("rng", isinstance(state["rng"], Mapping) and "cpu" in state["rng"])
    for kind, generator in present["rng"].items():
        if kind in state["rng"]:  # else of another device, whose generator is not continued
            _check_tensors("rng", {kind: state["rng"][kind]}, {kind: generator})
    for name in ("diagnostics", "best_diagnostics"):
        figures = state[name]
        _require(name, figures is None or _are_numbers(figures))


def share_frozen(weights: dict[str, Tensor], networks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return *weights* with the tensors of the frozen extractor of *networks* in place of copies.

    PyTorch writes a tensor once, however often it is in a state. Most of the weights of networks
    on features are frozen.
    """
    for name, value in weights.items():
        if name.startswith(_FROZEN) and torch.equal(value, networks[name]):
            weights[name] = networks[name]
    return weights


def load_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Load the state of an optimiser of the same parameters.

    Raises:
        ValueError: A value has another shape than its parameter, and is not a single number.
    """
    optimiser.load_state_dict(state)
    for parameter, kept in optimiser.state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise ValueError(f"its {name} is not of this training")


def _require(name: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"its {name} is not of this training")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _are_numbers(figures: object) -> bool:
    return isinstance(figures, Mapping) and all(
        isinstance(value, int | float) and math.isfinite(value) for value in figures.values()
    )


def _check_tensors(name: str, found: object, present: Mapping[str, Tensor]) -> None:
    _require(name, isinstance(found, Mapping) and found.keys() == present.keys())
    assert isinstance(found, Mapping)  # noqa: S101  for mypy
    for key, tensor in present.items():
        each = found[key]
        _require(f"{name}.{key}", isinstance(each, Tensor) and each.shape == tensor.shape)
        _require(f"{name}.{key}", each.dtype == tensor.dtype)
        _require(f"{name}.{key}", bool(torch.isfinite(each).all()))


def _check_optimiser(name: str, found: Any, present: Mapping[str, Any]) -> None:
    """Check the state of an optimiser; *present* is that of one that has made no step."""
    _require(name, isinstance(found, Mapping) and found.keys() == present.keys())
    groups = found["param_groups"]
    _require(name, isinstance(groups, list) and len(groups) == len(present["param_groups"]))
    for group, of_present in zip(groups, present["param_groups"], strict=True):
        _require(name, isinstance(group, Mapping) and group.keys() >= {"lr", "params"})
        _require(name, group["params"] == of_present["params"])
        rate = group["lr"]
        _require(name, isinstance(rate, float | Tensor) and math.isfinite(float(rate)))
    numbers = {number for group in present["param_groups"] for number in group["params"]}
    _require(name, isinstance(found["state"], Mapping) and found["state"].keys() <= numbers)
    for kept in found["state"].values():
        _require(name, isinstance(kept, Mapping))
        for value in kept.values():
            _require(name, isinstance(value, Tensor | float | int))
            _require(name, bool(torch.isfinite(torch.as_tensor(value)).all()))
