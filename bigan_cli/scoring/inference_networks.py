"""Networks prepared for inference: the same functions as in training, computed faster.

Fitting, calibration and scoring all use these networks, so they share the same arithmetic.
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
from bigan_cli.model.feature_extraction import one_at_a_time
from bigan_cli.model.memory_format import supports_channels_last
from bigan_cli.model.networks import Networks

# Pixels of a batch; larger batches do not fit a core's cache.
_BATCH_PIXELS = 64 * 64 * 64
_LARGEST_BATCH = 64


def batch_size_for(shape: ImageShape) -> int:
    """Return the number of images per forward pass: 64 up to 64x64 pixels, fewer for larger ones.

    Every batch is padded to that number, so a single image costs as much as a batch.
    """
    return max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // (shape.height * shape.width)))


class InferenceNetworks:
    """A copy of networks for inference; later training does not change it.

    Parametrised weights (spectral normalisation) are computed once. On a CPU images and weights
    use the channels-last memory format, if the architecture supports it.

    Args:
        networks: Put into ``eval()`` and otherwise unchanged.
    """

    def __init__(self, networks: Networks) -> None:
        self.device = next(networks.parameters()).device
        copied = copy.deepcopy(networks.eval()).requires_grad_(requires_grad=False)
        for module in list(copied.modules()):
            _fold_parametrizations(module)
        self.has_image_features = copied.has_image_features
        self.layout = torch.contiguous_format
        if self.device.type == "cpu" and run_single_threaded(
            lambda: supports_channels_last(copied)
        ):
            self.layout = torch.channels_last
        # Whatever the format in training: the same arithmetic as after loading from a model file.
        copied.to(memory_format=self.layout)
        self.on_feature_map = copied.on_feature_map
        self.layer_channels = copied.layer_channels
        self.extractor = copied.extractor
        self.decoder = copied.decoder
        self.encoder = copied.encoder
        self.generator = copied.generator
        self.discriminator = copied.discriminator
        # D(x, z) and E(x) call these too; their results are reused.
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

    def inputs(self, images: Tensor, count: int | None = None) -> Tensor:
        """Return the inputs of E and D for images ``[N, C, H, W]`` in [-1, 1].

        Args:
            images: On the device of the networks.
            count: If given, only so many images are real. On a CPU the others get the features
                of the first.

        Returns:
            Where *count* is given, with the channels last in memory however many images are real:
            the order of summation depends on the layout, and this one suits networks that work
            on single positions.
        """
        if self.extractor is None:
            return images
        if images.device.type != "cpu":
            features: Tensor = self.extractor(images)
            return features
        found = one_at_a_time(self.extractor, images[:count])
        if count is None:  # also while the networks are exported, for any number of images
            return found
        copies = found[:1].expand(len(images) - len(found), -1, -1, -1)
        return torch.cat([found, copies]).contiguous(memory_format=torch.channels_last)

    def drawn(self, x: Tensor) -> Tensor:
        """Return images ``[N, C, H, W]`` in [-1, 1] decoded from inputs *x* of E and D.

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
        """Cache the features of E and D for *x* in this thread, until the next batch."""
        for function in (self.image_features, self.encoder_features):
            if function is not None:
                function.begin(x)


class _OncePerBatch:
    """A function whose result for the current batch is cached; each thread has its own batch.

    Other tensors are computed without caching.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._local = threading.local()

    def begin(self, x: Tensor) -> None:
        """Make *x* the current batch of this thread."""
        self._local.batch, self._local.result = x, None

    def __call__(self, x: Tensor) -> Tensor:
        if x is not self._local.__dict__.get("batch"):
            return self._function(x)
        if self._local.result is None:
            self._local.result = self._function(x)
        result: Tensor = self._local.result
        return result


def prepare_for_inference(networks: Networks | InferenceNetworks) -> InferenceNetworks:
    """Return *networks* prepared for inference; unchanged if they already are."""
    return networks if isinstance(networks, InferenceNetworks) else InferenceNetworks(networks)


def _fold_parametrizations(module: nn.Module) -> None:
    """Replace parametrised weights by their values in ``eval()``."""
    if not parametrize.is_parametrized(module):
        return
    values = {name: getattr(module, name).detach().clone() for name in module.parametrizations}  # type: ignore[union-attr]
    # torch.nn.utils.parametrize.remove_parametrizations would change the class, which the original
    # networks share.
    module.__class__ = type(module).__mro__[1]
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))
