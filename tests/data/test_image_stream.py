"""Images that are read again in every epoch: once each, in a seeded order, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bigan_cli.contracts import Blocks, Items
from bigan_cli.data.block_cache import BlockCache
from bigan_cli.data.image_file import DEFAULTS
from bigan_cli.data.image_stream import ImageStream
from bigan_cli.model.window_batches import PixelStream, WindowBatches

REPLACEMENTS = np.full((3, 1, 8, 8), 255, np.uint8)
CPU = torch.device("cpu")


class Numbered(Sequence):
    """Images whose pixels are their numbers; remembers which slices were read."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.slices: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        with self._lock:
            self.slices.append((index.start, index.stop))
        return [np.full((8, 8), i, np.uint8) for i in range(index.start, index.stop)]


def blocks_of(sizes: Sequence[int], version: str = "1") -> Blocks:
    names = [f"{version} {i}" for i in range(len(sizes))]
    return Blocks(np.cumsum([0, *sizes]), names, names)


def make(
    sizes: Sequence[int],
    held_out: Sequence[int] = (),
    images: int = 40,
    cache: BlockCache | None = None,
    version: str = "1",
) -> tuple[ImageStream, Numbered]:
    """Return a stream with a buffer of that many images."""
    raw = Numbered(sum(sizes))
    items = Items(raw, np.zeros(len(raw), np.int64), blocks=blocks_of(sizes, version))
    chosen = np.setdiff1d(np.arange(len(raw)), held_out)
    cache = cache or BlockCache(Path("unused"), 0)
    return ImageStream(items, chosen, DEFAULTS, images * 64, cache, REPLACEMENTS), raw


def epoch(
    stream: ImageStream, seed: int, passes: int, steps: range, batch_size: int
) -> list[list[int]]:
    batches = WindowBatches(PixelStream(stream, np.empty((1, 1, 8, 8), np.uint8)), CPU)
    found = batches.shuffled(seed, passes, steps, batch_size)
    return [batch[:, 0, 0, 0].tolist() for batch in found]


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8).filter(lambda s: sum(s) < 256),
    held_out=st.sets(st.integers(0, 255), max_size=20),
    images=st.integers(1, 100),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**63 - 1),
    passes=st.integers(1, 2),
    data=st.data(),
)
def test_each_image_is_taken_once_in_a_pass_and_an_epoch_resumes_at_any_step(
    sizes, held_out, images, batch_size, seed, passes, data
) -> None:
    stream, _ = make(sizes, sorted(held_out), images)
    wanted = sorted(set(range(sum(sizes))) - held_out)
    assert len(stream) == len(wanted)
    if not wanted:
        return
    steps = passes * len(wanted) // batch_size
    whole = epoch(stream, seed, passes, range(steps), batch_size)
    assert [len(batch) for batch in whole] == [batch_size] * steps
    flat = [image for batch in whole for image in batch]
    assert len(flat[: len(wanted)]) == len(set(flat[: len(wanted)]))
    assert set(flat) <= set(wanted)
    if batch_size == 1:
        assert sorted(flat) == sorted(wanted * passes)
    start = data.draw(st.integers(0, steps))
    assert epoch(stream, seed, passes, range(start, steps), batch_size) == whole[start:]


def test_a_window_fits_into_the_buffer_and_has_images_from_several_places() -> None:
    stream, raw = make([50, 50, 50, 50], images=40)
    windows = list(stream.windows(seed=3))
    assert max(stream.count(window) for window in windows) <= 40
    assert sum(stream.count(window) for window in windows) == 200
    stream.load(windows[0])
    assert len({start // 50 for start, _ in raw.slices}) > 1
    assert sum(stop - start for start, stop in raw.slices) <= 40


def test_the_order_depends_on_the_seed_alone() -> None:
    first, second, third = (
        epoch(make([30, 30, 30])[0], seed, 1, range(9), 10) for seed in (1, 1, 2)
    )
    assert first == second != third


def test_images_that_are_held_out_are_never_decoded() -> None:
    stream, _ = make([30, 30], held_out=range(30, 60))
    (window,) = stream.windows(0)
    assert sorted(stream.load(window)[:, 0, 0, 0].tolist()) == list(range(30))


class Broken(Numbered):
    """As :class:`Numbered`, but every tenth image is no image."""

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return [b"no image" if i % 10 == 0 else found[i - index.start] for i in span(index)]


def span(index: slice) -> range:
    return range(index.start, index.stop)


def test_an_image_that_cannot_be_read_is_replaced_and_reported_once(tmp_path) -> None:
    raw = Broken(90)
    items = Items(raw, np.zeros(90, np.int64), blocks=blocks_of([30, 30, 30]))

    def read(cache: BlockCache) -> tuple[list[list[int]], list[str]]:
        stream = ImageStream(items, np.arange(1, 90), DEFAULTS, 40 * 64, cache, REPLACEMENTS)
        batches = epoch(stream, 0, 2, range(17), 10)
        reported = sorted(name for name, _ in stream.new_unreadable())
        assert not stream.new_unreadable()
        assert epoch(stream, 0, 2, range(8, 17), 10) == batches[8:]
        assert not stream.new_unreadable()
        return batches, reported

    batches, reported = read(BlockCache(tmp_path, 0))
    taken = [image for batch in batches for image in batch][:89]
    assert sorted(taken) == sorted({i for i in range(1, 90) if i % 10} | {255}) + [255] * 7
    assert reported == [f"image {i}" for i in range(10, 90, 10)]
    for _ in range(2):  # first while the cache is filled
        assert read(BlockCache(tmp_path, 2**20)) == (batches, reported)


def test_an_early_end_of_an_epoch_stops_reading() -> None:
    stream, raw = make([30] * 6, images=30)
    batches = WindowBatches(PixelStream(stream, np.empty((1, 1, 8, 8), np.uint8)), CPU)
    running = batches.shuffled(0, 1, range(18), 10)
    next(running)
    running.close()
    assert sum(stop - start for start, stop in raw.slices) <= 60
    assert not [each for each in threading.enumerate() if each.name.startswith("windows")]


def load_all(cache: BlockCache, version: str = "1") -> tuple[bytes, int]:
    """Return the pixels of all images, and how many were decoded."""
    stream, raw = make([20, 20, 20], images=60, cache=cache, version=version)
    (window,) = stream.windows(0)
    return stream.load(window).tobytes(), sum(stop - start for start, stop in raw.slices)


def test_blocks_are_decoded_once_where_there_is_a_cache(tmp_path) -> None:
    pixels, decoded = load_all(BlockCache(tmp_path, 2**20))
    assert decoded == 60
    assert load_all(BlockCache(tmp_path, 2**20)) == (pixels, 0)
    assert load_all(BlockCache(tmp_path, 0)) == (pixels, 60)
    assert load_all(BlockCache(tmp_path, 2**20), version="2") == (pixels, 60)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_block_is_decoded_again(tmp_path, damage) -> None:
    pixels, _ = load_all(BlockCache(tmp_path, 2**20))
    file = min(tmp_path.glob("*.npy"))
    contents = bytearray(file.read_bytes())
    contents[-100] ^= 1
    size = {"cut": len(contents) - 40, "flipped": len(contents), "empty": 0}[damage]
    file.write_bytes(contents[:size])
    again, decoded = load_all(BlockCache(tmp_path, 2**20))
    assert again == pixels
    assert 0 < decoded < 60
    assert load_all(BlockCache(tmp_path, 2**20)) == (pixels, 0)


def test_the_cache_keeps_to_its_size_and_replaces_only_what_others_left(tmp_path) -> None:
    cache = BlockCache(tmp_path, 1000)
    blocks = {name: np.full(100, i, np.uint8) for i, name in enumerate("abcdef")}
    for name, block in blocks.items():
        cache.store(name, block)
    kept = {file.stem for file in tmp_path.glob("*.npy")}
    assert 0 < len(kept) < 6
    assert sum(file.stat().st_size for file in tmp_path.glob("*.npy")) <= 1000
    assert kept == set(sorted(blocks)[: len(kept)])  # none of its own is replaced
    later = BlockCache(tmp_path, 1000)
    later._started += 10  # a later process
    later.store("new", blocks["f"])
    found = later.load("new", np.uint8)
    assert found is not None
    assert found.tolist() == blocks["f"].tolist()
    assert sum(file.stat().st_size for file in tmp_path.glob("*.npy")) <= 1000


def test_processes_that_share_a_cache_keep_to_its_size_together(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bigan_cli.data.block_cache._RECOUNT", 0.0)
    caches = [BlockCache(tmp_path, 1000) for _ in range(2)]
    for number in range(8):
        caches[number % 2].store(str(number), np.full(100, number, np.uint8))
    kept = [*tmp_path.glob("*.npy")]
    assert 2 <= len(kept) < 8
    assert sum(file.stat().st_size for file in kept) <= 1000
    assert {file.stem for file in kept} == set("01234567"[: len(kept)])
