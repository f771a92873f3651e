"""The inputs of a scoring, and the error for those that hold no images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from bigan_cli.data.sources.find import Input, find_inputs
from bigan_cli.data.sources.image_source import Found
from bigan_cli.errors import DataError
from bigan_cli.image_files import IMAGE_SUFFIXES
from bigan_cli.locations.location import locate
from bigan_cli.missing_paths import require_one


def find_given(inputs: Iterable[Input], *, recursive: bool) -> Iterator[Found]:
    """Return the images of *inputs*; an error now if these are known and there are none.

    Raises:
        UsageError: None of *inputs* exists.
        DataError: They hold no images.
    """
    found = find_inputs(inputs, recursive)
    if not isinstance(inputs, Sequence):
        return found
    check_one_exists(inputs)
    # Before torch is loaded.
    first = next(found, None)
    if first is None:
        raise no_images(inputs, recursive=recursive)
    return chain([first], found)


def check_one_exists(inputs: Iterable[Input]) -> None:
    """Raise UsageError if none of *inputs* exists.

    Those that arrive one by one are not waited for, and whether a URL exists is seen when it is
    read.
    """
    if not isinstance(inputs, Sequence):
        return
    locations = [locate(each) for each in inputs]
    if all(isinstance(each, Path) for each in locations):
        require_one([each for each in locations if isinstance(each, Path)])


def no_images(inputs: Iterable[Input], *, recursive: bool) -> DataError:
    """Return the error for inputs that hold no images."""
    where = "among the inputs"
    if isinstance(inputs, Sequence):
        where = f"under {', '.join(map(str, inputs))}"
    hint = "" if recursive else "subfolders were not searched"
    return DataError(f"no images {where} (looked for {' '.join(IMAGE_SUFFIXES)})", hint)
