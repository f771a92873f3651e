"""Normal images in tar shards, on this machine or in an object store, too many to unpack."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from bigan_cli.contracts import DataLocation, Dataset, Items, Options
from bigan_cli.datasets._size_recipe import SAMPLE, Size, recipe_for_sizes
from bigan_cli.errors import BiganError, DataError, UsageError
from bigan_cli.formatting import count
from bigan_cli.hookspecs import hookimpl
from bigan_cli.image_files import IMAGE_SUFFIXES
from bigan_cli.locations.cache_folder import cache_root
from bigan_cli.locations.location import Location, is_url
from bigan_cli.locations.patterns import matching_files
from bigan_cli.locations.tar_headers import TAR_SUFFIXES

if TYPE_CHECKING:
    from bigan_cli.datasets._shard_index import Shard

# The shards of a folder that is named itself.
_IN_FOLDER = "*.tar"
# Shards whose headers are read at the same time: it is mostly waiting for a disk or a store.
_TOGETHER = 8
# Shards that a warning names.
_NAMED = 3


class ShardsOptions(Options):
    """Where the shards are."""

    urls: tuple[str, ...] = Field(
        (),
        description="The shards: paths or URLs of tar archives or of folders of them, with *, ? "
        "and {000..099}. A URL is one of fsspec, such as s3://bucket/shards/*.tar. By default the "
        "archives in the folder data.root.",
    )

    @field_validator("urls")
    @classmethod
    def _absolute(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        """Return them as seen from any folder, so that a run can be resumed in another one."""
        return tuple(
            url if is_url(url) else os.path.abspath(os.path.expanduser(url))  # noqa: PTH100, PTH111
            for url in urls
        )


class Shards(Dataset):
    """Images in tar archives, such as the shards of WebDataset; all of them normal.

    The members that are images by their suffix count; others are skipped. Nothing is unpacked:
    training reads blocks of images at their places in the archives. Compressed archives are
    refused, since they can only be read from their start.
    """

    name = "shards"
    summary = "normal images in tar shards here or in an object store, larger than a disk"
    Options = ShardsOptions

    @classmethod
    def preset_for(
        cls,
        root: Path | None,
        architecture: str | None,
        tile: int | None = None,
        options: Any = None,
    ) -> tuple[Mapping[str, Mapping[str, Any]], str]:
        """Return the recipe for photographs or for small pictures, by the first images of shards.

        These are read without the index of all images, which may take minutes.
        """
        options = options or cls.Options()
        if root is None and not options.urls:
            return {}, ""
        dataset = cls(options, DataLocation(root or Path()))
        try:
            return recipe_for_sizes(dataset._sample_sizes, architecture, tile, can_tile=False)
        except BiganError as error:
            # The training ends with it, too, unless a store can be reached again by then.
            return {}, (
                f"the sizes of the images were not found ({error.message}); "
                "'model.architecture' and 'data.image_size' choose what suits them"
            )

    def train_items(self) -> Items:
        """Return the images of all shards, read when indexed.

        Raises:
            DataError: A shard is missing or damaged.
        """
        import numpy as np

        from bigan_cli.datasets._shard_index import ShardImages, ShardNames

        images = ShardImages(self._shards)
        return Items(
            images,
            np.zeros(len(images), np.int64),
            names=ShardNames(images),
            blocks=images.blocks(),
        )

    def test_items(self) -> Items:
        """Return no images: all are normal."""
        import numpy as np

        return Items([], np.empty(0, np.int64))

    def classes(self) -> tuple[str, ...]:
        """Return the only class."""
        return ("normal",)

    def normal_classes(self) -> tuple[int, ...]:
        """Return the only class."""
        return (0,)

    def describe(self) -> str:
        """Return how many shards and images there are.

        Raises:
            DataError: A shard is missing or damaged.
        """
        images = sum(map(len, self._shards))
        return f"{count(len(self._shards), 'shard')} with {count(images, 'image')}"

    def warnings(self) -> Sequence[str]:
        """Return a warning of shards without images.

        Raises:
            DataError: A shard is missing or damaged.
        """
        empty = [str(shard.location) for shard in self._shards if not len(shard)]
        if not empty:
            return ()
        more = ", ..." if len(empty) > _NAMED else ""
        named = ", ".join(empty[:_NAMED]) + more
        return (f"{count(len(empty), 'shard')} without images: {named}",)

    @cached_property
    def _shards(self) -> list[Shard]:
        from bigan_cli.datasets._shard_index import open_shard

        locations = list(dict.fromkeys(self._locations()))
        cache = cache_root() / "shards"
        with ThreadPoolExecutor(min(_TOGETHER, len(locations))) as pool:
            shards = list(pool.map(partial(open_shard, cache=cache), locations))
        if not any(map(len, shards)):
            raise DataError(
                f"no images in {count(len(shards), 'shard')} of {', '.join(self._patterns)} "
                f"(looked for {' '.join(IMAGE_SUFFIXES)})"
            )
        return shards

    def _sample_sizes(self) -> list[Size]:
        """Return (width, height) of the first images of shards that are evenly distributed."""
        from bigan_cli.datasets._shard_index import first_sizes

        locations = list(dict.fromkeys(self._locations()))
        chosen = locations[:: max(1, len(locations) // SAMPLE)][:SAMPLE]
        most = SAMPLE // len(chosen)
        with ThreadPoolExecutor(min(_TOGETHER, len(chosen))) as pool:
            return list(chain.from_iterable(pool.map(partial(first_sizes, most=most), chosen)))

    @property
    def _patterns(self) -> tuple[str, ...]:
        urls: tuple[str, ...] = self.options.urls
        return urls or (str(self.location.root),)

    def _locations(self) -> list[Location]:
        found: list[Location] = []
        for pattern in self._patterns:
            try:
                files = matching_files(pattern, _IN_FOLDER)
            except OSError as error:
                raise DataError(f"cannot list {pattern}: {error.strerror or error}") from error
            if not files:
                raise UsageError(
                    f"no shards match {pattern}",
                    "'data.options.urls=s3://bucket/shards/*.tar' or 'data.root=DIR' names them",
                )
            found += files
        for file in found:
            if file.name.lower().endswith(TAR_SUFFIXES[1:]):
                raise DataError(
                    f"{file} is compressed, so its images cannot be read in random order",
                    "decompress it: a tar archive of images hardly becomes larger",
                )
        return found


@hookimpl
def bigan_datasets() -> list[type[Dataset]]:
    """Provide the dataset."""
    return [Shards]
