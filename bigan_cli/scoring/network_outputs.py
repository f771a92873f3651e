"""The networks' outputs for one batch, each computed at its first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from bigan_cli.errors import UsageError
from bigan_cli.model.cycle_discriminators import IMAGE
from bigan_cli.model.networks import apply_head
from bigan_cli.scoring.inference_networks import InferenceNetworks
from bigan_cli.scoring.positions import resized


class LazyNetworkOutputs:
    """The networks' outputs for a batch; implements :class:`bigan_cli.contracts.NetworkOutputs`.

    Args:
        networks: Prepared for inference.
        images: ``[N, C, H, W]`` in [-1, 1], on the networks' device.
        features: The inputs of E and D, if they have been computed already.
        inside: The positions in the region of interest, bool ``[N, h, w]`` or ``[1, h, w]``.
    """

    def __init__(
        self,
        networks: InferenceNetworks,
        images: Tensor | None = None,
        features: Tensor | None = None,
        inside: Tensor | None = None,
    ) -> None:
        self._networks = networks
        self.inside = inside
        self._images = images
        self.on_feature_map = networks.on_feature_map
        if features is None:
            assert images is not None  # noqa: S101  one of the two is given
            features = networks.inputs(images)
        self.x = features
        self.layer_channels = networks.layer_channels
        networks.begin(self.x)

    @property
    def images(self) -> Tensor:
        """The images ``[N, C, H, W]`` in [-1, 1].

        Raises:
            UsageError: Only their features were given.
        """
        if self._images is None:
            raise UsageError("the images are not available, only their features")
        return self._images

    def inside_at(self, size: tuple[int, int]) -> Tensor | None:
        """Return :attr:`inside` at the size of a map; where any of its positions is inside."""
        return None if self.inside is None else resized(self.inside, size)

    @cached_property
    def z(self) -> Tensor:
        """E(x), ``[N, d]``."""
        z: Tensor = self._networks.encoder(self.x)
        return z

    @cached_property
    def encoder_features(self) -> Tensor:
        """E's features of x before its last layer, ``[N, K]``.

        Raises:
            UsageError: This architecture's encoder has no features.
        """
        if self._networks.encoder_features is None:
            raise UsageError("this architecture's encoder has no features")
        return self._networks.encoder_features(self.x)

    @cached_property
    def heads(self) -> Mapping[str, Tensor]:
        """Outputs ``[N, M]`` of each head on the discriminator's image features of x, by name."""
        heads = self._networks.heads.items()
        return {name: apply_head(head, self.image_features) for name, head in heads}

    def heads_for(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return :attr:`heads` for other images ``[N, C, H, W]``, such as transformed ones.

        Raises:
            UsageError: This architecture's discriminator has no image features.
        """
        if self._networks.image_features is None:
            raise UsageError("this architecture's discriminator has no image features")
        features = self._networks.image_features(images)
        return {name: head(features) for name, head in self._networks.heads.items()}

    @cached_property
    def reconstruction(self) -> Tensor:
        """G(E(x)), ``[N, C, H, W]``."""
        x: Tensor = self._networks.generator(self.z)
        return x

    @cached_property
    def drawn_reconstruction(self) -> Tensor:
        """The reconstruction as images ``[N, C, H, W]``."""
        return self._networks.drawn(self.reconstruction)

    @cached_property
    def real(self) -> tuple[Tensor, Tensor]:
        """Logits ``[N]`` and features ``[N, F]`` of D(x, E(x))."""
        logits, features = self._networks.discriminator(self.x, self.z)
        return logits, features

    @cached_property
    def fake(self) -> tuple[Tensor, Tensor]:
        """Logits ``[N]`` and features ``[N, F]`` of D(G(E(x)), E(x))."""
        logits, features = self._networks.discriminator(self.reconstruction, self.z)
        return logits, features

    @cached_property
    def image_pair_features(self) -> tuple[Tensor, Tensor]:
        """D_xx's features of (x, x) and of (x, G(E(x))), ``[N, F]`` each.

        Raises:
            UsageError: There is no cycle discriminator of images.
        """
        if IMAGE not in self._networks.cycle_discriminators:
            raise UsageError("these networks have no cycle discriminator of images")
        # Both pairs in one pass.
        first, second = torch.cat([self.x, self.x]), torch.cat([self.x, self.reconstruction])
        _, features = self._networks.cycle_discriminators[IMAGE](first, second)
        count = self.x.shape[0]
        return features[:count], features[count:]

    @cached_property
    def image_features(self) -> Tensor:
        """The discriminator's features of x alone, ``[N, K]``.

        Raises:
            UsageError: This architecture's discriminator has no image features.
        """
        if self._networks.image_features is None:
            raise UsageError("this architecture's discriminator has no image features")
        return self._networks.image_features(self.x)
