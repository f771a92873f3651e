"""``hf``: any column of images of a Hugging Face dataset for bigan, local or on the hub.

The package ``datasets`` takes seconds to import, and is imported only when data are read.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import Field

from bigan_cli.contracts import Dataset, Items, Options
from bigan_cli.errors import DataError
from bigan_cli.hookspecs import hookimpl

if TYPE_CHECKING:
    from bigan_hf._columns import Columns
    from bigan_hf._load import Splits

_ONLY_CLASS = "normal"
_NORMAL_NAMES = ("good", "normal", "ok")


class HfOptions(Options):
    """Options of ``hf``."""

    path: str = Field(
        "",
        description="A file or folder, relative to the data root, or the name of a dataset on "
        "the hub, such as user/name; by default the data root itself.",
    )
    config: str = Field("", description="Which configuration (subset) of it.")
    revision: str = Field("", description="Commit, tag or branch on the hub, to stay with it.")
    image_column: str = Field("", description="By default the only column of images.")
    label_column: str = Field(
        "",
        description="By default the only column of classes, or one called label; without any, "
        "all images are normal.",
    )
    train_split: str = Field("train", description="The split to train on.")
    test_split: str = Field("", description="By default test, validation or valid, if there.")
    limit: int = Field(
        0,
        ge=0,
        description="Largest number of images of a split, spread over it; when streaming, the "
        "first ones. 0 for all.",
    )
    streaming: bool = Field(
        False, description="Read no more of the data than limit says, and store nothing."
    )


class Hf(Dataset):
    """Images of a Hugging Face dataset: imagefolder, Parquet, saved to disk, or on the hub.

    Images are decoded when they are indexed. Code that comes with datasets is never run.
    """

    name = "hf"
    summary = "any column of images of a Hugging Face dataset, local or on the hub"
    Options = HfOptions

    def train_items(self) -> Items:
        """Return the training split.

        Raises:
            DataError: The data cannot be loaded, or have no such split or column.
        """
        return self._items("train")

    def test_items(self) -> Items:
        """Return the test split; empty where there is none.

        Raises:
            DataError: The data cannot be loaded, or have no such split or column.
        """
        return self._items("test")

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, in their order in the dataset."""
        return self._columns.class_names or (_ONLY_CLASS,)

    def normal_classes(self) -> tuple[int, ...] | None:
        """Return the class called good, normal or ok, or the only one; None without such."""
        names = [name.casefold() for name in self.classes()]
        telling = tuple(k for k, name in enumerate(names) if name in _NORMAL_NAMES)
        return telling or None

    @cached_property
    def _splits(self) -> Splits:
        from bigan_hf._load import load_splits

        options: HfOptions = self.options
        if options.streaming and not options.limit:
            raise DataError(
                "how many images are to be streamed?", "--set data.options.limit=1000 says it"
            )
        return load_splits(options, self.location)

    @cached_property
    def _columns(self) -> Columns:
        from bigan_hf._columns import find_columns

        return find_columns(self._splits, self.options.image_column, self.options.label_column)

    def _items(self, split: str) -> Items:
        from bigan_hf._pictures import Pictures

        rows = self._splits.test if split == "test" else self._splits.train
        if rows is None:
            return Items([], [])  # type: ignore[arg-type]
        pictures = Pictures(rows, self._columns.image, split)
        return Items(pictures, self._columns.labels_of(rows, split))


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide ``hf``."""
    return [Hf]
