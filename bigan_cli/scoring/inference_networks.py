"""Networks made ready to judge images: the same function as was trained, computed faster.

Every score goes through here, when a detector is fitted and calibrated as when it is used, so
that all of them come from the same arithmetic.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bigan_cli.contracts import ImageShape
from bigan_cli.errors import UsageError
from bigan_cli.model.cpu_threads import run_single_threaded
from bigan_cli.model.memory_format import supports_channels_last
from bigan_cli.model.networks import Networks

# Pixels of all images of a batch together; larger ones no longer fit a core's cache.
_BATCH_PIXELS = 64 * 64 * 64
_LARGEST_BATCH = 64


def batch_size_for(shape: ImageShape) -> int:
    """Return how many images of *shape* a forward pass takes: 64 up to 64x64 pixels, then fewer.

    Every batch is filled up to that number, so it is also the price of a single image.
    """
    return max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // (shape.height * shape.width)))


class InferenceNetworks:
    """A copy of networks for judging images; later training does not change it.

    Weights that are computed from others (spectral normalisation) are computed once. On a CPU
    images and weights lie channels last, unless the architecture cannot have it.

    Args:
        networks: Left as they are, but for being put into ``eval()``.
    """

    def __init__(self, networks: Networks) -> None:
        self.device = next(networks.parameters()).device
        copied = copy.deepcopy(networks.eval()).requires_grad_(requires_grad=False)
        for module in list(copied.modules()):
            _settle_weights(module)
        self.has_image_features = copied.has_image_features
        self.layout = torch.contiguous_format
        if self.device.type == "cpu" and run_single_threaded(
            lambda: supports_channels_last(copied)
        ):
            self.layout = torch.channels_last
        # However they were trained: the arithmetic is to be the same as from a model file.
        copied.to(memory_format=self.layout)
        self.on_places = copied.on_places
        self.extractor = copied.extractor
        self.decoder = copied.decoder
        self.encoder = copied.encoder
        self.generator = copied.generator
        self.discriminator = copied.discriminator
        # D(x, z) and E(x) call these too, and then they need not be computed again.
        self.image_features: _OncePerBatch | None = None
        if self.has_image_features:
            self.image_features = _OncePerBatch(self.discriminator.image_features)  # type: ignore[arg-type]
            self.discriminator.__dict__["image_features"] = self.image_features
        self.encoder_features: _OncePerBatch | None = None
        if copied.has_encoder_features:
            self.encoder_features = _OncePerBatch(self.encoder.features)  # type: ignore[arg-type]
            self.encoder.__dict__["features"] = self.encoder_features
        self.heads = dict(copied.heads.items())
        self.cycle_discriminators = dict(copied.cycle_discriminators.items())

    def inputs(self, images: Tensor) -> Tensor:
        """Return what E and D see of images ``[N, C, H, W]`` in [-1, 1]."""
        if self.extractor is None:
            return images
        features: Tensor = self.extractor(images)
        return features

    def drawn(self, x: Tensor) -> Tensor:
        """Return images ``[N, C, H, W]`` in [-1, 1] from *x*, which E and D see.

        Raises:
            UsageError: This architecture draws no images.
        """
        if self.extractor is None:
            return x
        if self.decoder is None:
            raise UsageError("this architecture has no decoder, so it draws no images")
        images: Tensor = self.decoder(x)
        return images

    def begin(self, x: Tensor) -> None:
        """Let what E and D see in *x* be computed once, in this thread, until the next batch."""
        for function in (self.image_features, self.encoder_features):
            if function is not None:
                function.begin(x)


class _OncePerBatch:
    """A function of a batch that several ask for and that need be computed only once.

    Each thread has a batch of its own; other tensors are passed through.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._local = threading.local()

    def begin(self, x: Tensor) -> None:
        """Let *x* be the batch of this thread from now on."""
        self._local.batch, self._local.result = x, None

    def __call__(self, x: Tensor) -> Tensor:
        if x is not self._local.__dict__.get("batch"):
            return self._function(x)
        if self._local.result is None:
            self._local.result = self._function(x)
        result: Tensor = self._local.result
        return result


def ready(networks: Networks | InferenceNetworks) -> InferenceNetworks:
    """Return *networks* ready to judge images, as they are if they are so already."""
    return networks if isinstance(networks, InferenceNetworks) else InferenceNetworks(networks)


def _settle_weights(module: nn.Module) -> None:
    """Replace weights that a parametrization computes at every use by what it gives in eval."""
    if not parametrize.is_parametrized(module):
        return
    values = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
    # torch's own way of removing them changes the class, which the copied networks share.
    module.__class__ = type(module).__mro__[1]
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))
