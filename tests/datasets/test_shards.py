"""Tar shards are found and indexed, and an image is read at its place."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import unittest
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import DataLocation
from bigan_cli.data.image_pool import ImagePool
from bigan_cli.datasets import _shard_index
from bigan_cli.datasets.shards import Shards
from bigan_cli.errors import DataError, UsageError
from bigan_cli.testing import dataset_checks


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), value).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path, write_tar) -> Path:
    """Return a folder of three shards with 5 images each, and what else is in such shards."""
    for shard in range(3):
        members: dict[str, bytes] = {}
        for i in range(5):
            members[f"{i:03d}.png"] = png(10 * shard + i)
            members[f"{i:03d}.json"] = b"{}" * 300 * i
        members |= {"._000.png": b"fork", "README": b"", ".hidden/a.png": png(99)}
        members |= {"long-" * 30 + ".txt": b"x"}
        write_tar(tmp_path / f"shard-{shard:02d}.tar", members)
    return tmp_path


def shards(tmp_path: Path, *urls: object) -> Shards:
    """Return the dataset of *urls*, or else of the folder ``cache``."""
    options = Shards.Options.from_table({"urls": [str(url) for url in urls]})
    return Shards(options, DataLocation(tmp_path / "cache"))


def values(found: list[bytes]) -> list[int]:
    return [int(np.asarray(Image.open(io.BytesIO(each)))[0, 0]) for each in found]


ALL = [10 * shard + i for shard in range(3) for i in range(5)]


def test_it_conforms(tmp_path, write_tar) -> None:
    shard = write_tar(tmp_path / "a.tar", {f"{i}.png": png(i) for i in range(120)})
    for check in dataset_checks(Shards, {"urls": [str(shard)]}, tmp_path / "cache"):
        with contextlib.suppress(unittest.SkipTest):
            check.call()


@pytest.mark.parametrize(
    "pattern", ["", "*.tar", "shard-0?.tar", "shard-{00..02}.tar", "shard-0{0,1,2}.tar"]
)
def test_patterns_and_folders_name_shards(folder, pattern) -> None:
    dataset = shards(folder, folder / pattern)
    items = dataset.train_items()
    assert values(items.images[:]) == ALL
    assert [values([items.images[i]])[0] for i in range(15)] == ALL
    assert values(items.images[3:12]) == ALL[3:12]
    assert items.names[7] == f"tar://002.png::{folder / 'shard-01.tar'}"
    assert dataset.describe() == "3 shards with 15 images"
    assert not dataset.warnings()


def test_the_folder_of_the_data_is_the_default(folder) -> None:
    dataset = Shards(Shards.Options(), DataLocation(folder))
    assert values(dataset.train_items().images[:]) == ALL
    one = Shards(Shards.Options(), DataLocation(folder / "shard-01.tar"))
    assert values(one.train_items().images[:]) == ALL[5:10]


def test_names_with_the_characters_of_patterns_are_found(folder, tmp_path) -> None:
    odd = tmp_path / "of [2024]"
    odd.mkdir()
    (folder / "shard-00.tar").rename(odd / "a[1].tar")
    for named in (odd, odd / "a[1].tar"):
        assert values(shards(folder, named).train_items().images[:]) == ALL[:5]


def test_shards_in_a_store_have_the_images_and_digests_of_those_on_disk(folder) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    for file in folder.glob("*.tar"):
        store.pipe_file(f"/shards-of-a-test/{file.name}", file.read_bytes())
    local = shards(folder, folder).train_items()
    for url in ("memory://shards-of-a-test", "memory://shards-of-a-test/shard-{00..02}.tar"):
        remote = shards(folder, url).train_items()
        assert remote.images[:] == local.images[:]
        assert remote.names[0].startswith("tar://000.png::memory://")
        assert list(remote.blocks.digests) == list(local.blocks.digests)
        assert list(remote.blocks.versions) != list(local.blocks.versions)


def test_blocks_end_with_their_shard_and_are_bounded(folder, monkeypatch) -> None:
    assert shards(folder, folder).train_items().blocks.bounds.tolist() == [0, 5, 10, 15]
    monkeypatch.setattr(_shard_index, "_BLOCK_IMAGES", 2)
    assert shards(folder, folder).train_items().blocks.bounds.tolist()[:4] == [0, 2, 4, 5]
    monkeypatch.setattr(_shard_index, "_BLOCK_BYTES", 1)
    assert shards(folder, folder).train_items().blocks.bounds.tolist() == list(range(16))


def test_the_headers_of_a_shard_are_read_once(folder, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "caches"))
    before = shards(folder, folder).train_items().images[:]
    find_images = _shard_index._find_images
    monkeypatch.setattr(_shard_index, "_find_images", None)
    assert shards(folder, folder).train_items().images[:] == before
    for file in (folder / "caches").rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(TypeError, match="not callable"):
        shards(folder, folder).train_items()
    monkeypatch.setattr(_shard_index, "_find_images", find_images)
    assert shards(folder, folder).train_items().images[:] == before


def refused(folder: Path, *urls: object) -> str:
    with pytest.raises((DataError, UsageError)) as error:
        ImagePool.of(shards(folder, *urls))
    return error.value.message


def test_what_is_no_shard_is_named(folder, write_tar) -> None:
    missing = folder / "missing.tar"
    assert refused(folder, missing) == f"no such file: {missing}"
    assert refused(folder, folder / "x*.tar") == f"no shards match {folder / 'x*.tar'}"
    assert refused(folder) == f"no such file: {folder / 'cache'}"
    packed = folder / "a.tar.gz"
    packed.write_bytes(gzip.compress((folder / "shard-00.tar").read_bytes()))
    assert "is compressed" in refused(folder, packed)
    empty = write_tar(folder / "empty.tar", {"a.txt": b"x"})
    assert "no images in 1 shard of" in refused(folder, empty)
    nothing = folder / "nothing.tar"
    nothing.write_bytes(b"")
    assert refused(folder, nothing).startswith(f"cannot read {nothing}: ")
    whole = (folder / "shard-00.tar").read_bytes()
    for size in (512 * 3, 1100):
        cut = folder / "cut.tar"
        cut.write_bytes(whole[:size])
        assert refused(folder, cut).startswith(f"cannot read {cut}: ")


def test_a_shard_without_images_among_others_is_warned_of(folder, write_tar) -> None:
    empty = write_tar(folder / "empty.tar", {})
    dataset = shards(folder, folder)
    assert len(dataset.train_items()) == 15
    assert dataset.warnings() == (f"1 shard without images: {empty}",)


def test_a_shard_that_changes_meanwhile_is_noticed(folder, write_tar) -> None:
    items = shards(folder, folder).train_items()
    changed = write_tar(folder / "shard-01.tar", {"000.png": png(1), "other.png": png(2)})
    for index in (slice(5, 10), 6):
        with pytest.raises(DataError, match=f"{changed} has changed"):
            items.images[index]
    changed.unlink()
    with pytest.raises(DataError, match=f"cannot read {changed}: no such file"):
        items.images[5]
    # The others are still read, and another run has another fingerprint.
    assert values(items.images[:5]) == ALL[:5]
    write_tar(changed, {f"{i}.png": png(0) for i in range(5)})
    assert list(shards(folder, folder).train_items().blocks.digests) != list(items.blocks.digests)


def test_images_are_left_out_by_their_urls(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = tmp_path / "list.txt"
    listed.write_text(
        f"tar://001.png::{folder / 'shard-00.tar'}\n"
        "tar://004.png::shard-01.tar\n"
        + "".join(f"tar://00{i}.png::shard-02.tar\n" for i in range(5))
        + "tar://005.png::shard-01.tar\n"
    )
    pool = ImagePool.of(shards(folder, folder), exclude=listed)
    assert "7 images excluded" in pool.description
    assert "1 path that the dataset does not have (tar://005.png" in pool.warnings[0]
    left = [i for i in ALL if i not in (1, 14, 20, 21, 22, 23, 24)]
    assert values(pool.train.images[:]) == left
    assert values([pool.train.images[i] for i in range(8)]) == left
    assert pool.train.names[1] == f"tar://002.png::{folder / 'shard-00.tar'}"
    whole = shards(folder, folder).train_items().blocks
    assert pool.train.blocks.bounds.tolist() == [0, 4, 8]
    assert not set(pool.train.blocks.digests) & set(whole.digests)
    assert not set(pool.train.blocks.versions) & set(whole.versions)


def test_members_with_odd_names_are_left_out_by_their_urls(folder, write_tar) -> None:
    odd = ("a::b.png", "long-" * 60 + ".png", "twice.png", "\N{SNOWMAN}.png")
    shard = write_tar(folder / "odd.tar", {name: png(i) for i, name in enumerate(odd)})
    with tarfile.open(shard, "a") as tar:
        again = tarfile.TarInfo("twice.png")
        again.size = len(png(9))
        tar.addfile(again, io.BytesIO(png(9)))
    names = shards(folder, shard).train_items().names
    found = [names.indices(f"tar://{name}::{shard}") for name in odd]
    assert found == [[0], [1], [2, 4], [3]]
    assert not names.indices("tar://a::b.png")
    assert not names.indices(str(shard))


def test_a_sparse_member_is_refused(folder) -> None:
    with tarfile.open(folder / "sparse.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        header = tarfile.TarInfo("a.png")
        header.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(header, io.BytesIO(b""))
    assert "a sparse file" in refused(folder, folder / "sparse.tar").lower()
