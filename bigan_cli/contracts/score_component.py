"""The contract of score components, and the networks' outputs that they score."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bigan_cli.contracts.options import AnyOptions, Options

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class NetworkOutputs(Protocol):
    """The outputs of the trained networks for one batch; each is computed once, on first access.

    For an architecture on features, x is the feature map ``[N, K, h, w]``, and every output below
    has the two further axes h and w: z is ``[N, d, h, w]``, logits are ``[N, h, w]``.

    Attributes:
        images: The images ``[N, C, H, W]`` in [-1, 1].
        on_feature_map: Whether the networks work at every position of a feature map.
        x: The inputs of E and D: the images, or their feature maps.
        layer_channels: How many channels of a feature map come from each layer of the extractor,
            finest first.
        inside: bool ``[N, h, w]``, or ``[1, h, w]`` for all images alike: which positions of x
            are in the region of interest. Values of images are to come from these alone; outside
            of them maps are set to 0. None without a region.
        z: E(x), ``[N, d]``.
        reconstruction: G(E(x)), ``[N, C, H, W]``.
        real: D(x, E(x)): logits ``[N]`` and joint features ``[N, F]``.
        fake: D(G(E(x)), E(x)): logits ``[N]`` and joint features ``[N, F]``.
        image_features: The discriminator's features of x alone, ``[N, K]``.
        encoder_features: The encoder's features before its last layer, ``[N, K]``.
        heads: Name of a head on the discriminator's image features -> its outputs ``[N, M]``
            for x; ``heads_for(images)`` computes them for other images of the same shape.
        image_pair_features: Features of the cycle discriminator of images for (x, x) and for
            (x, G(E(x))), ``[N, F]`` each.
    """

    @property
    def images(self) -> Tensor: ...
    @property
    def on_feature_map(self) -> bool: ...
    @property
    def x(self) -> Tensor: ...
    @property
    def layer_channels(self) -> tuple[int, ...]: ...
    @property
    def inside(self) -> Tensor | None: ...
    @property
    def z(self) -> Tensor: ...
    @property
    def reconstruction(self) -> Tensor: ...
    @property
    def real(self) -> tuple[Tensor, Tensor]: ...
    @property
    def fake(self) -> tuple[Tensor, Tensor]: ...
    @property
    def image_features(self) -> Tensor: ...
    @property
    def encoder_features(self) -> Tensor: ...
    @property
    def heads(self) -> Mapping[str, Tensor]: ...
    def heads_for(self, images: Tensor) -> Mapping[str, Tensor]: ...
    @property
    def image_pair_features(self) -> tuple[Tensor, Tensor]: ...


class ScoreComponent(ABC):
    """A component of the anomaly score.

    Class attributes:
        name: Unique, lower case, words joined by ``_``.
        summary: One line for tables and help.
        Options: Its typed options, the table ``[score.options.NAME]`` of a config file.
        weight: Its default weight in the score; with 0 it is only reported.
        needs_feature_map: Whether it needs networks that work at every position of a feature map.
        needs_pixels: Whether it needs networks that work on whole images, not on feature maps.
        needs_image_features: Whether the discriminator must have ``image_features``.
        needs_encoder_features: Whether the encoder must have ``features``.
        needs_head: The head that must have been trained, or an empty string.
        requires_cycle_discriminator: The cycle discriminator that must have been trained,
            ``image`` or ``latent``, or an empty string.
        provided_by: See :class:`Dataset`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[AnyOptions]] = Options
    weight: ClassVar[float] = 1.0
    needs_feature_map: ClassVar[bool] = False
    needs_pixels: ClassVar[bool] = False
    needs_image_features: ClassVar[bool] = False
    needs_encoder_features: ClassVar[bool] = False
    needs_head: ClassVar[str] = ""
    requires_cycle_discriminator: ClassVar[str] = ""
    provided_by: str = ""

    def __init__(self, options: AnyOptions) -> None:
        self.options: Any = options

    def embed(self, outputs: NetworkOutputs) -> Tensor | None:
        """Return the values that :meth:`fit` needs of each image, finite ``[N, K]``, or None."""
        return None

    def fit_limit(self) -> int | None:
        """Return the largest number of training images for :meth:`fit`; None for all.

        A component with a bounded memory bank needs no more than it keeps.
        """
        return None

    def fit(self, embedded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the tensors that scoring needs, from the embedded training images ``[N, K]``.

        They are stored in the model file and passed to :meth:`score`.
        """
        return {}

    def score(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor:
        """Return one finite float per image, ``[N]``; higher is more anomalous.

        By default it is the mean of :meth:`heatmap`; a subclass defines at least one of the two.
        The value of an image must not depend on the other images of the batch. Several threads
        call it at the same time, :meth:`embed` and :meth:`heatmap` too: keep no state of a call
        on the instance, and nothing that belongs to one thread.

        Raises:
            TypeError: The subclass defines neither.
        """
        heat = self.heatmap(outputs, fitted)
        if heat is None:
            raise TypeError(f"score component '{self.name}' defines neither score nor heatmap")
        return heat.flatten(1).mean(dim=1)

    def heatmap(self, outputs: NetworkOutputs, fitted: Mapping[str, Tensor]) -> Tensor | None:
        """Return a heatmap of the anomalies, ``[N, h, w]``, or None if there is none.

        The map may be of any resolution. For networks on feature maps, the image's value is
        computed from the map, after each position is standardised over normal validation images.
        """
        return None
