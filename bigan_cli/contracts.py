"""The contracts of datasets, architectures and score components.

Plugins import this module, the hooks and the errors, and nothing else of the package. It imports
neither torch nor torchvision, so listing plugins and reading a configuration are fast.

Conventions that hold everywhere:

* outside the networks an image is uint8, ``[H, W]`` or ``[H, W, C]``, 0 to 255;
* inside them it is float32 ``[N, C, H, W]`` in ``[-1, 1]``;
* C is 1 (grey), 3 (RGB) or 4 (RGBA); H and W are 8 or more and may differ;
* a higher score means more anomalous.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor, nn

    RawImage: TypeAlias = Path | Image.Image | NDArray[np.uint8] | NDArray[np.uint16]
    Mask: TypeAlias = Path | Image.Image | NDArray[np.bool_] | NDArray[np.uint8]

SMALLEST_SIDE = 8
CHANNELS = (1, 3, 4)


class Options(BaseModel):
    """Base of every plugin's typed options: unknown keys are refused, values are not coerced.

    A subclass declares fields with ``pydantic.Field(default, description=...)``. The
    description is what ``--help``, ``bigan config init`` and error messages show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Return the options in a table of a config file or of a model file.

        Lists and strings of the table are converted to declared tuples and paths; nothing else
        is converted.

        Raises:
            pydantic.ValidationError: A key or value is invalid.
        """
        return cls.model_validate_json(json.dumps(table))


# In the classes below the name ``Options`` is their own attribute.
AnyOptions: TypeAlias = Options


@dataclass(frozen=True, slots=True)
class ImageShape:
    """Channels, height and width of one image, in that order."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


@dataclass(frozen=True)
class DataLocation:
    """Where a dataset finds its files.

    Attributes:
        root: The folder given by ``data.root``, else the data cache of this machine.
        download: Whether missing files may be downloaded into *root*.
    """

    root: Path
    download: bool = False


@dataclass(frozen=True)
class Items:
    """The images of one split, lazily, with their labels.

    Attributes:
        images: Either one uint8 array ``[N, H, W]`` or ``[N, H, W, C]``, or a sequence of N
            paths, PIL images or arrays (uint8, or uint16 for 16-bit grey), of any size and
            mode. A sequence is indexed only when its pixels are needed, by several threads at
            the same time: a handle that belongs to one thread (sqlite3) must be opened in each.
        labels: int64 ``[N]``, each an index into the dataset's classes; a list becomes one.
        masks: For each image its ground-truth mask, or None for an image without one: a file, a
            PIL image, or an array ``[H, W]`` of booleans or of numbers from 0; or a tuple of
            these, which are combined. Masks may have any size. A boolean marks an
            anomalous pixel where it is true; a number where it is above half of the largest in
            the mask, or not 0 where none is above 31. A sequence is indexed only when its mask
            is needed, as *images* are.
        names: Name of each image in results; by default its path or index.
    """

    images: NDArray[np.uint8] | Sequence[RawImage]
    labels: NDArray[np.int64]
    masks: Sequence[Mask | tuple[Mask, ...] | None] | None = None
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        import numpy as np

        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)


class Dataset(ABC):
    """A dataset: the images and labels of its two splits.

    It never trains, splits by normality or resizes: that is done in one place for all datasets.

    Class attributes:
        name: Unique, lower case, words joined by ``_``.
        summary: One line for tables and help.
        image_shape: Native shape, or None to find it in the images. An instance may set its own
            if its options decide it.
        class_names: The classes if they are fixed, or None if they are found in the data.
        needs_root: Whether ``--data-root`` must be given, because there is no default folder.
        Options: Its typed options, the table ``[data.options]`` of a config file.
        preset: Config tables that suit this dataset better than the general defaults,
            for instance ``{"train": {"epochs": 100}}``.
        provided_by: Of an instance, the package and version or the file that its class is from;
            set by bigan, for messages.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    image_shape: ImageShape | None = None
    class_names: ClassVar[tuple[str, ...] | None] = None
    needs_root: ClassVar[bool] = False
    Options: ClassVar[type[AnyOptions]] = Options
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    provided_by: str = ""

    def __init__(self, options: AnyOptions, location: DataLocation) -> None:
        self.options: Any = options
        self.location = location

    @classmethod
    def preset_for(
        cls, root: Path | None, architecture: str | None, tile: int | None = None
    ) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        """Return config tables that suit the files in *root*, and the reason in one line.

        It is called before the configuration is complete, so it must be quick and may not fail.
        By default it returns :attr:`preset` and no reason.

        Args:
            root: The folder with the data, if given.
            architecture: The architecture that the user chose, or None.
            tile: The side of the tiles that the user asked for, or None; with it, images are best
                left at their own size.
        """
        return cls.preset, ""

    @abstractmethod
    def train_items(self) -> Items:
        """Return the training split.

        Raises:
            DataError: The files are missing or cannot be read.
        """

    @abstractmethod
    def test_items(self) -> Items:
        """Return the test split; empty if the dataset has none.

        Raises:
            DataError: The files are missing or cannot be read.
        """

    def classes(self) -> tuple[str, ...]:
        """Return the class names, in the order of the labels."""
        if self.class_names is None:
            raise TypeError(f"dataset '{self.name}' must define class_names or classes()")
        return self.class_names

    def normal_classes(self) -> tuple[int, ...] | None:
        """Return the normal classes defined by the dataset (``good``), or None."""
        return None

    def describe(self) -> str:
        """Return in one line how the files were interpreted; empty if that is obvious.

        Training and evaluation print it.

        Raises:
            DataError: The files are missing or cannot be read.
        """
        return ""

    def warnings(self) -> Sequence[str]:
        """Return one sentence for each kind of unused or suspicious file.

        Raises:
            DataError: The files are missing or cannot be read.
        """
        return ()


class Architecture(ABC):
    """A recipe for the networks of a BiGAN, for any image shape it supports.

    There are two kinds. On *pixels*, E and D take images and G generates them. On *features*, a
    frozen extractor maps the image to a feature map once, and E, G and D work at every place of
    that map; such an architecture defines :meth:`feature_extractor`.

    Class attributes:
        name: Unique, lower case, words joined by ``_``.
        summary: One line for tables and help.
        Options: Its typed options, the table ``[model.options]`` of a config file.
        preset: Config tables that suit this architecture better than the general defaults; they
            rank below everything that the user gives.
        provided_by: See :class:`Dataset`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[AnyOptions]] = Options
    preset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    provided_by: str = ""

    def __init__(self, options: AnyOptions) -> None:
        self.options: Any = options

    @abstractmethod
    def build(
        self, image_shape: ImageShape, latent_dim: int
    ) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return a newly initialised (encoder, generator, discriminator).

        * encoder: x ``[N, C, H, W]`` in [-1, 1] -> z ``[N, latent_dim]``, prior N(0, I). It may
          also have a method ``features(x)`` -> ``[N, K]``, its features before the last layer;
        * generator: z ``[N, latent_dim]`` -> x ``[N, C, H, W]`` in [-1, 1];
        * discriminator: (x, z) -> (logits ``[N]``, joint features ``[N, F]``); a positive logit
          means "a real image with its encoding". It may also have a method
          ``image_features(x)`` -> ``[N, K]``, features of the image alone.

        In ``eval()`` an output must not depend on the other images of its batch, and the results
        of ``features`` and ``image_features`` must not be modified in place: they are computed
        once and used by scores, too. Initialise weights with torch's global generator, which
        the run seeds.

        For an architecture on features, *image_shape* is the shape of the feature map, K channels
        by h by w. x is the map ``[N, K, h, w]``, unbounded, and z ``[N, latent_dim, h, w]``;
        D returns logits ``[N, h, w]`` and features ``[N, F, h, w]``. Each place must be
        computed from that place alone: networks are trained on single places, h = w = 1.

        Raises:
            UsageError: The image shape is not supported.
        """

    def feature_extractor(self, image_shape: ImageShape, *, pretrained: bool) -> nn.Module | None:
        """Return a frozen network that maps images to features, or None for pixels.

        The module maps x ``[N, C, H, W]`` in [-1, 1] to a feature map ``[N, K, h, w]``, by two
        methods: ``normalise(raw(x))``, both of that shape. Its method ``fit(vectors)`` estimates
        the normalisation from what ``raw`` returns for training images, ``[M, K]``.

        Args:
            image_shape: Shape of the images.
            pretrained: Whether to load the pretrained weights. False where a model file
                supplies them: the weights need not be installed then.

        Raises:
            UsageError: The weights are not installed, or are not those that were expected.
        """
        return None

    def decoder(self, feature_shape: ImageShape, image_shape: ImageShape) -> nn.Module | None:
        """Return a network that decodes images from feature maps, for reconstructions, or None.

        It maps ``[N, K, h, w]`` to ``[N, C, H, W]`` in [-1, 1]. It is trained with E, G and D and
        does not affect the score.
        """
        return None


class NetworkOutputs(Protocol):
    """The outputs of the trained networks for one batch; each is computed once, on first access.

    For an architecture on features, x is the feature map ``[N, K, h, w]``, and every output below
    has the two further axes h and w: z is ``[N, d, h, w]``, logits are ``[N, h, w]``.

    Attributes:
        images: The images ``[N, C, H, W]`` in [-1, 1].
        on_places: Whether the networks work at every place of a feature map.
        x: The inputs of E and D: the images, or their feature maps.
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
    def on_places(self) -> bool: ...
    @property
    def x(self) -> Tensor: ...
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
        needs_places: Whether it needs networks that work at every place of a feature map.
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
    needs_places: ClassVar[bool] = False
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

        The map may be of any resolution. For networks on places, the image's value is computed
        from the map, after each place is standardised over normal validation images.
        """
        return None


@dataclass(frozen=True)
class EpochRecord:
    """The record of one epoch of training.

    Attributes:
        epoch: Counted from 1.
        losses: Name -> mean over the epoch.
        images_per_second: Training throughput, validation excluded.
        seconds: Duration of the epoch.
        validation: Mean reconstruction error of the validation images, which chooses the best
            epoch; lower is better.
        best: Whether it is the lowest so far.
    """

    epoch: int
    losses: Mapping[str, float]
    images_per_second: float
    seconds: float
    validation: float
    best: bool
    extra: Mapping[str, float] = field(default_factory=dict)
