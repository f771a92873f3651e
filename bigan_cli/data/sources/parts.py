"""Numbered parts of the inputs, cut by position: the same parts on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bigan_cli.data.sources.find import Archive
from bigan_cli.data.sources.image_source import Found


@dataclass(frozen=True)
class Part:
    """Consecutive inputs that are scored together.

    Attributes:
        number: Counted from 0.
        sources: The images, or one archive with all images in it.
    """

    number: int
    sources: tuple[Found | Archive, ...]

    def __iter__(self) -> Iterator[Found]:
        """Yield the images; an archive is opened now."""
        for source in self.sources:
            if isinstance(source, Archive):
                yield from source
            else:
                yield source

    @property
    def digest(self) -> str:
        """A digest of the names of the inputs, in hex."""
        found = hashlib.blake2b(digest_size=16)
        for source in self.sources:
            name = source.location if isinstance(source, Archive) else source
            found.update(str(name).encode("utf-8", "backslashreplace") + b"\0")
        return found.hexdigest()


def cut_into_parts(sources: Iterable[Found | Archive], size: int) -> Iterator[Part]:
    """Yield *sources* in parts of *size* inputs, and each archive as a part of its own.

    So an archive is opened only by whoever scores it.
    """
    number, gathered = 0, list[Found | Archive]()
    for source in sources:
        if gathered and (isinstance(source, Archive) or len(gathered) == size):
            yield Part(number, tuple(gathered))
            number, gathered = number + 1, []
        if isinstance(source, Archive):
            yield Part(number, (source,))
            number += 1
        else:
            gathered.append(source)
    if gathered:
        yield Part(number, tuple(gathered))
