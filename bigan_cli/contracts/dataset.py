"""The contract of datasets: images and labels of two splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bigan_cli.contracts.images import ImageShape
from bigan_cli.contracts.options import AnyOptions, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bigan_cli.contracts.images import Mask, RawImage


@dataclass(frozen=True)
class DataLocation:
    """Where a dataset finds its files.

    Attributes:
        root: The folder given by ``data.root``, else the data cache of this machine.
        download: Whether missing files may be downloaded into *root*.
    """

    root: Path
    download: bool = False


@dataclass(frozen=True, eq=False)
class Blocks:
    """Runs of images that are stored together, each read as one slice of the images.

    Attributes:
        bounds: int64 ``[B + 1]``, ascending from 0 to the number of images: block b has the images
            from ``bounds[b]`` up to ``bounds[b + 1]``.
        digests: A text for each block that depends on its contents and not on where it is stored:
            they identify the data of a run.
        versions: A text for each block that changes when what is stored does; the disk cache
            depends on it.
    """

    bounds: NDArray[np.int64]
    digests: Sequence[str]
    versions: Sequence[str]


@dataclass(frozen=True)
class Items:
    """The images of one split, lazily, with their labels.

    Attributes:
        images: Either one uint8 array ``[N, H, W]`` or ``[N, H, W, C]``, or a sequence of N
            paths, contents of image files (bytes), PIL images or arrays (uint8, or uint16 for
            16-bit grey), of any size and mode. A sequence is indexed only when its pixels are
            needed, by several threads at the same time: a handle that belongs to one thread
            (sqlite3) must be opened in each.
        labels: int64 ``[N]``, each an index into the dataset's classes; a list becomes one.
        masks: For each image its ground-truth mask, or None for an image without one: a file, a
            PIL image, or an array ``[H, W]`` of booleans or of numbers from 0; or a tuple of
            these, which are combined. Masks may have any size. A boolean marks an
            anomalous pixel where it is true; a number where it is above half of the largest in
            the mask, or not 0 where none is above 31. A sequence is indexed only when its mask
            is needed, as *images* are.
        names: Name of each image in results; by default its path or index.
        blocks: The images in the blocks that they are stored in, where they may be too many for
            memory and disk; only of the train split. They are then decoded again in every epoch,
            block by block in random order. By default they are decoded once.
    """

    images: NDArray[np.uint8] | Sequence[RawImage]
    labels: NDArray[np.int64]
    masks: Sequence[Mask | tuple[Mask, ...] | None] | None = None
    names: Sequence[str] | None = None
    blocks: Blocks | None = None

    def __post_init__(self) -> None:
        import numpy as np

        labels = np.asarray(self.labels)
        if labels.size and labels.dtype.kind not in "biu":
            raise TypeError(f"labels are {labels.dtype}, not integers")
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))

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
        cls,
        root: Path | None,
        architecture: str | None,
        tile: int | None = None,
        options: AnyOptions | None = None,
    ) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        """Return config tables that suit the files in *root*, and the reason in one line.

        It is called before the configuration is complete, so it must be quick and may not fail.
        By default it returns :attr:`preset` and no reason.

        Args:
            root: The folder with the data, if given.
            architecture: The architecture that the user chose, or None.
            tile: The side of the tiles that the user chose, or None; with it, images are best
                left at their own size.
            options: The dataset's options; by default those without a table of options.
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
