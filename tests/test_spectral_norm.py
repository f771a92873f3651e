"""Spectral normalisation against what it is defined by, and against PyTorch's own."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm as reference_norm

from bigan_cli.spectral_norm import spectral_norm

LAYERS = [lambda: nn.Conv2d(3, 8, 4), lambda: nn.Linear(12, 5), lambda: nn.Linear(20, 1)]


def normalised(make, steps=60):
    torch.manual_seed(0)
    layer = make()
    original = layer.weight.detach().clone()
    spectral_norm(layer)
    for _ in range(steps):
        layer.weight  # noqa: B018  every access in train() is a step of power iteration
    return layer, original


@pytest.mark.parametrize("make", LAYERS)
def test_largest_singular_value_becomes_one(make):
    layer, original = normalised(make)
    largest = torch.linalg.svdvals(original.flatten(1))[0]
    torch.testing.assert_close(layer.weight, original / largest, rtol=1e-3, atol=1e-5)
    assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("make", LAYERS)
def test_gradient_is_that_of_pytorch(make):
    ours, original = normalised(make)
    torch.manual_seed(0)
    theirs = reference_norm(make())
    for _ in range(60):
        theirs.weight  # noqa: B018
    wanted = torch.randn(original.shape)
    for layer in (ours, theirs):
        (layer.weight * wanted).sum().backward()
    torch.testing.assert_close(
        ours.parametrizations.weight.original.grad,
        theirs.parametrizations.weight.original.grad,
        rtol=1e-3,
        atol=1e-5,
    )


def test_two_passes_before_one_backward():
    layer, _ = normalised(LAYERS[1], steps=1)
    x = torch.randn(7, 12)
    (layer(x).square().mean() + layer(2 * x).square().mean()).backward()
    assert torch.isfinite(layer.parametrizations.weight.original.grad).all()


def test_eval_changes_nothing():
    layer, _ = normalised(LAYERS[0])
    layer.eval()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    assert torch.equal(layer.weight, layer.weight)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])
