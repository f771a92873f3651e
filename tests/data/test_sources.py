"""Archives, lists and object stores give the same images as folders, and nothing bad ends them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigan_cli.contracts import ImageShape
from bigan_cli.data.decode_pipeline import decode_ahead
from bigan_cli.data.sources import image_source
from bigan_cli.data.sources.find import Archive, find_inputs, find_sources
from bigan_cli.data.sources.image_source import Failed, ImageContents, source_name
from bigan_cli.errors import DataError, UsageError
from bigan_cli.locations.location import RemoteFile, locate

SHAPE = ImageShape(1, 8, 8)


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), value).save(stream, "PNG")
    return stream.getvalue()


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, contents in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(contents)
            tar.addfile(header, io.BytesIO(contents))
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as files:
        for name, contents in members.items():
            files.writestr(name, contents)
    return path


def values(*inputs: object) -> list[int | str]:
    """Return the grey value of each image, or why it was not read."""
    batches = decode_ahead(find_inputs(inputs), SHAPE, 4)
    return [
        image.error if image.pixels is None else int(image.pixels[0, 0, 0])
        for batch in batches
        for image in batch
    ]


def names(*inputs: object) -> list[str]:
    return [source_name(found) for found in find_inputs(inputs)]


SHARD = {
    "000.png": png(0),
    "000.cls": b"7",
    "001.jpg": b"not a picture",
    "001.json": b"{}",
    "deep/002.png": png(2),
    "._003.png": b"resource fork",
    ".hidden/004.png": png(4),
}


# Archives


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".txz", "w:xz")])
def test_the_images_of_a_tar_are_read_in_its_order(tmp_path, suffix, mode) -> None:
    shard = write_tar(tmp_path / f"shard{suffix}", SHARD, mode)
    assert values(shard) == [0, "not an image in a known format", 2]
    assert names(shard)[2] == f"tar://deep/002.png::{shard}"


def test_the_images_of_a_zip_are_read_in_its_order(tmp_path) -> None:
    archive = write_zip(tmp_path / "photos.zip", SHARD)
    assert values(archive) == [0, "not an image in a known format", 2]
    assert names(archive)[0] == f"zip://000.png::{archive}"


def test_the_name_of_a_member_is_a_url_that_is_an_input_itself(tmp_path) -> None:
    archives = [
        write_tar(tmp_path / "shard.tar", SHARD),
        write_zip(tmp_path / "photos.zip", SHARD),
    ]
    for archive in archives:
        assert values(names(archive)[2]) == [2]


def test_a_member_that_points_outside_is_a_name_and_nothing_is_unpacked(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    members = {"../../escaped.png": png(3), "/absolute.png": png(4)}
    tar = write_tar(tmp_path / "in" / "a.tar", members)
    packed = write_zip(tmp_path / "in" / "a.zip", members)
    before = sorted(tmp_path.rglob("*"))
    assert values(tar, packed) == [3, 4, 3, 4]
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_cut_short_or_damaged_gives_one_row_and_the_next_input_follows(tmp_path) -> None:
    members = {f"{i}.png": png(i) for i in range(5)}
    whole = write_tar(tmp_path / "whole.tar", members)
    contents = bytearray(whole.read_bytes())
    cut = tmp_path / "cut.tar"
    cut.write_bytes(contents[: 512 * 5 + 20])
    contents[512 * 4] ^= 255  # the name in the third header
    flipped = tmp_path / "flipped.tar"
    flipped.write_bytes(contents)
    unfinished = tmp_path / "unfinished.tar"
    unfinished.write_bytes(whole.read_bytes()[: 512 * 4])
    packed = gzip.compress(whole.read_bytes())
    zipped = tmp_path / "cut.tar.gz"
    zipped.write_bytes(packed[: len(packed) // 2])
    missing = tmp_path / "missing.tar"
    for archive in (cut, flipped, unfinished, zipped, missing):
        *found, error, after = values(archive, whole)[: -len(members) + 1]
        assert found == list(range(len(found)))
        assert isinstance(error, str)
        assert after == 0
    assert values(missing) == ["no such file"]
    assert "bad checksum" in str(values(flipped)[-1])


def test_a_damaged_or_encrypted_member_of_a_zip_is_one_row(tmp_path) -> None:
    archive = write_zip(tmp_path / "a.zip", {f"{i}.png": png(i) for i in range(3)})
    contents = bytearray(archive.read_bytes())
    second = contents.index(b"1.png") + len("1.png") + 30
    contents[second] ^= 255
    directory = contents.rindex(b"PK\1\2")
    contents[directory + 8] |= 1  # the last member is said to be encrypted
    archive.write_bytes(contents)
    first, damaged, encrypted = values(archive)
    assert first == 0
    assert isinstance(damaged, str)
    assert encrypted == "encrypted"


def test_an_image_of_too_many_bytes_is_one_row_and_is_never_in_memory(
    tmp_path, monkeypatch
) -> None:
    for module in ("archives", "lists"):
        monkeypatch.setattr(f"bigan_cli.data.sources.{module}.LARGEST_CONTENTS", 2**16)
    members = {"a.png": png(1), "bomb.png": bytes(2**24), "c.png": png(3)}
    for archive in (
        write_tar(tmp_path / "a.tgz", members, "w:gz"),
        write_zip(tmp_path / "a.zip", members),
    ):
        assert archive.stat().st_size < 2**16
        assert values(archive) == [1, image_source.TOO_LARGE, 3]


def test_metadata_of_too_many_bytes_ends_a_tar(tmp_path) -> None:
    bomb = tarfile.TarInfo("pax")
    bomb.type = tarfile.XHDTYPE
    bomb.size = 2**30
    path = tmp_path / "a.tar"
    path.write_bytes(bomb.tobuf(tarfile.USTAR_FORMAT) + bytes(2**16))
    assert values(path) == ["damaged file (metadata of 1,073,741,824 bytes)"]


def test_reading_a_tar_keeps_no_list_of_its_members(tmp_path) -> None:
    import tracemalloc

    def peak(count: int) -> int:
        shard = write_tar(tmp_path / f"{count}.tar", {f"{i}.png": b"x" for i in range(count)})
        tracemalloc.start()
        assert sum(1 for _ in find_inputs([shard])) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = peak(300)
    assert peak(3000) < 1.2 * few + 20_000


# Lists


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    write_tar(tmp_path / "shard.tar", {"7.png": png(7)})
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "\ufeff2.png\r\n\n0.png\nnone.png\nshard.tar\n"),
        ("list.csv", 'path,size\n2.png,1\n0.png,2\n"none.png",3\nshard.tar,4\n'),
        ("list.csv", "\ufeffsize,uri\r\n1,2.png\r\n2,0.png\r\n3,none.png\r\n4,shard.tar\r\n"),
    ],
)
def test_a_list_names_images_and_archives_relative_to_its_folder(folder, name, text) -> None:
    listing = folder / name
    listing.write_bytes(text.encode())
    assert values(listing) == [2, 0, "no such file", 7]


def test_rows_without_a_path_are_rows_with_a_reason(folder) -> None:
    listing = folder / "list.csv"
    listing.write_text("size,path\n1,2.png\n2\n3,\n4,0.png\n")
    assert values(listing) == [2, "no path in this row", "no path in this row", 0]
    assert names(listing)[1] == f"{listing}#2"


def test_a_table_without_a_column_of_paths_is_an_error(folder) -> None:
    listing = folder / "list.csv"
    listing.write_text("file,label\n2.png,1\n")
    with pytest.raises(DataError, match="no column path or uri"):
        values(listing)


def test_a_parquet_table_lists_paths(folder) -> None:
    pa = pytest.importorskip("pyarrow", reason="no pyarrow: pip install .[scale]")
    from pyarrow import parquet

    listing = folder / "list.parquet"
    parquet.write_table(pa.table({"label": [1, 2, 3], "uri": ["2.png", None, "1.png"]}), listing)
    assert values(listing) == [2, "no path in this row", 1]


def test_a_parquet_table_has_the_images_themselves(folder) -> None:
    pa = pytest.importorskip("pyarrow", reason="no pyarrow: pip install .[scale]")
    from pyarrow import parquet

    table = {
        "bytes": [png(5), b"not a picture", None, png(6)],
        "path": ["five.png", None, "x.png", "../6.png"],
    }
    listing = folder / "images.parquet"
    parquet.write_table(pa.table(table), listing)
    assert values(listing) == [5, "not an image in a known format", "no bytes in this row", 6]
    assert names(listing) == ["five.png", f"{listing}#2", "x.png", "../6.png"]
    (found,) = find_sources([listing])
    assert isinstance(found, Archive)


def test_a_damaged_parquet_table_is_one_row(folder) -> None:
    pytest.importorskip("pyarrow", reason="no pyarrow: pip install .[scale]")
    (folder / "list.parquet").write_bytes(b"PAR1 and no more")
    error, after = values(folder / "list.parquet", folder / "3.png")
    assert str(error).startswith("damaged file")
    assert after == 3


# URLs


@pytest.fixture
def bucket() -> Iterator[str]:
    """Return the URL of a folder in memory with images, a list and archives."""
    fsspec = pytest.importorskip("fsspec", reason="no fsspec: pip install .[scale]")
    files = fsspec.filesystem("memory")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/8.png", png(8))
    contents = {
        "10.png": png(10),
        "9.png": png(9),
        "notes.md": b"",
        "deep/11.png": png(11),
        "list.csv": b"path\n10.png\ndeep/11.png\nmemory://bigan/none.png\n",
        "photos.zip": packed.getvalue(),
    }
    for name, content in contents.items():
        files.pipe(f"/bigan/{name}", content)
    yield "memory://bigan"
    files.rm("/bigan", recursive=True)


def test_a_url_may_be_an_image_a_folder_a_list_an_archive_or_a_pattern(bucket) -> None:
    assert values(f"{bucket}/9.png") == [9]
    assert values(bucket) == [9, 10, 11]
    assert [name.rpartition("/")[2] for name in names(f"{bucket}/")] == [
        "9.png",
        "10.png",
        "11.png",
    ]
    assert values(f"{bucket}/list.csv") == [10, 11, "no such file"]
    assert values(f"{bucket}/photos.zip") == [8]
    assert values(f"zip://in/8.png::{bucket}/photos.zip") == [8]
    assert values(f"zip://::{bucket}/photos.zip") == [8]
    assert values(f"{bucket}/*.png") == [9, 10]
    assert values(f"{bucket}/none.png", f"{bucket}/nothing/") == ["no such file"] * 2


def test_a_url_that_nothing_opens_is_an_error_that_says_so() -> None:
    with pytest.raises(UsageError, match="nothing is installed that opens nosuch://"):
        list(find_inputs(["nosuch://bucket/a.png"]))


def test_paths_and_urls_are_told_apart(tmp_path) -> None:
    assert locate("memory://a/b.png") == RemoteFile("memory://a/b.png")
    assert locate(f"file://{tmp_path}/a.png") == tmp_path / "a.png"
    for path in ("a:b", "s3:/a", "C:/x", "://"):
        assert locate(path) == Path(path)
    image = ImageContents("tar://\udcff.png::a.tar", b"")
    assert source_name(image) == "tar://\\udcff.png::a.tar"
    assert isinstance(next(find_inputs([tmp_path / "none.zip"])), Failed)
    assert np.isscalar(values(tmp_path / "none.zip")[0])
