"""One batch seen through the networks, each part computed once and only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from bigan_cli.errors import UsageError
from bigan_cli.model.cycle_discriminators import IMAGE
from bigan_cli.model.networks import apply_head
from bigan_cli.scoring.inference_networks import InferenceNetworks


class LazyNetworkOutputs:
    """What the networks make of a batch; implements :class:`bigan_cli.contracts.NetworkOutputs`.

    Args:
        networks: Ready to judge images.
        images: ``[N, C, H, W]`` in [-1, 1], on the networks' device.
    """

    def __init__(
        self,
        networks: InferenceNetworks,
        images: Tensor | None = None,
        features: Tensor | None = None,
    ) -> None:
        self._networks = networks
        self._images = images
        self.on_places = networks.on_places
        if features is None:
            assert images is not None  # noqa: S101  one of the two is given
            features = networks.inputs(images)
        self.x = features
        networks.begin(self.x)

    @property
    def images(self) -> Tensor:
        """The images ``[N, C, H, W]`` in [-1, 1].

        Raises:
            UsageError: The features were computed before, and the images are not at hand.
        """
        if self._images is None:
            raise UsageError("the images are not at hand, only their features")
        return self._images

    @cached_property
    def z(self) -> Tensor:
        """E(x), ``[N, d]``."""
        z: Tensor = self._networks.encoder(self.x)
        return z

    @cached_property
    def encoder_features(self) -> Tensor:
        """What E sees before it narrows that to z, ``[N, K]``.

        Raises:
            UsageError: This architecture's encoder has no such view.
        """
        if self._networks.encoder_features is None:
            raise UsageError("this architecture's encoder has no features but z")
        return self._networks.encoder_features(self.x)

    @cached_property
    def heads(self) -> Mapping[str, Tensor]:
        """Outputs ``[N, M]`` of each head on the discriminator's image features of x, by name."""
        heads = self._networks.heads.items()
        return {name: apply_head(head, self.image_features) for name, head in heads}

    def heads_for(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return the same of other images ``[N, C, H, W]``, made of x.

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
            UsageError: The networks were trained without this discriminator.
        """
        if IMAGE not in self._networks.cycle_discriminators:
            raise UsageError("these networks have no cycle discriminator of images")
        # Both pairs in one pass.
        first, second = torch.cat([self.x, self.x]), torch.cat([self.x, self.reconstruction])
        _, features = self._networks.cycle_discriminators[IMAGE](first, second)
        return features[: len(self.x)], features[len(self.x) :]

    @cached_property
    def image_features(self) -> Tensor:
        """The discriminator's view of x alone, ``[N, K]``.

        Raises:
            UsageError: This architecture's discriminator has no such view.
        """
        if self._networks.image_features is None:
            raise UsageError("this architecture's discriminator has no image features")
        return self._networks.image_features(self.x)
